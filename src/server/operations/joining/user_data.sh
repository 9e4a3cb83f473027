set -u
say() { echo "job-orchestrator: $*"; }
# A machine that is of no use costs as long as it runs.
off() {
    say "$1"
    shutdown -h now
    exit 0
}
# In seconds, by a clock that nobody sets.
uptime() { cut -d . -f 1 /proc/uptime; }
# Tries again with growing pauses: a server may be down, a mirror slow. Nobody comes to end a machine whose server is gone.
persist() { # persist WHAT COMMAND…
    what=$1
    shift
    pause=1
    begun=$(uptime)
    until "$@"; do
        [ $(($(uptime) - begun)) -lt "$patience" ] || off "$what failed for $patience s; this machine ends"
        say "$what failed; trying again in $pause s"
        sleep "$pause"
        pause=$((pause < 32 ? pause * 2 : 60))
    done
}

home=/var/lib/job-orchestrator
umask 077
mkdir -p "$home/bin" "$home/client"
# Where only root reads them; an argument would be in everybody's list of processes.
printf %s "$headers" > "$home/headers"
printf %s "$invitation" > "$home/invitation.json"

machine=$(uname -m)
digest=$(printf '%s\n' "$digests" | sed -n "s/^$machine //p")
if [ -z "$digest" ]; then
    say "the server has no program for $machine: see client_binary in its configuration"
    exit 1
fi
if ! command -v curl > /dev/null; then
    say "curl is missing in this image"
    exit 1
fi

fetch() {
    # The server is known by its key alone. What is here of a download that broke is gone on with.
    curl --silent --show-error --fail --insecure --pinnedpubkey "$pin" --header "@$home/headers" \
        --connect-timeout 10 --speed-limit 1000 --speed-time 30 --continue-at - \
        --output "$home/bin/download" "$server$program_path/$machine" || {
        # What cannot be gone on with begins anew.
        [ $? = 33 ] && rm -f "$home/bin/download"
        return 1
    }
    if [ "$(sha256sum < "$home/bin/download" | cut -d ' ' -f 1)" != "$digest" ]; then
        say "the program is not the one that was announced"
        rm -f "$home/bin/download"
        return 1
    fi
    chmod 755 "$home/bin/download" && mv "$home/bin/download" "$home/bin/job-orchestrator"
}
persist "fetching the program" fetch
# Jobs of other users find their own files below; what only root reads is written.
chmod 711 "$home" "$home/client"
umask 022

prepare() { (cd / && sh -c "$setup") < /dev/null; }
[ -z "$setup" ] || persist "the pool's setup" prepare

# It ends well when its time here is over, and then so is this machine's.
until "$home/bin/job-orchestrator" client --join "$home/invitation.json" --data-dir "$home/client" --listen 0.0.0.0:9000; do
    say "the client ended; starting it again"
    sleep 1
done
off "no longer needed"
