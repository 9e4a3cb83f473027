#!/bin/bash
# Succeeds if the process on loopback port $1 answers 200 to GET /health. The image has bash and no curl.
set -euo pipefail
exec 3<>"/dev/tcp/127.0.0.1/$1"
printf 'GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n' >&3
read -r -t 5 line <&3
[[ $line == 'HTTP/1.1 200 '* ]]
