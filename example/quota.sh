#!/usr/bin/env bash
# Submits many jobs of one user and then one of another, and watches the quota at work: the first user has at most
# RUNS_PER_USER at once, and the second does not wait behind the whole row.
#
#   example/quota.sh                 against a running server; needs bash, curl, awk
#
# By environment, with defaults: SERVER (http://127.0.0.1:5000), SERVICE (example), USER_ID (1), OTHER_USER_ID (2),
# JOBS (250), JOB_SECONDS (1), RUNS_PER_USER (5, the server's setting, to compare with), TOKEN (none).
# Exit code 1 if the limit was exceeded or the second user did not overtake, 2 if the server refused something.
set -euo pipefail

server=${SERVER:-http://127.0.0.1:5000}
server=${server%/}
service=${SERVICE:-example}
user=${USER_ID:-1}
other_user=${OTHER_USER_ID:-2}
jobs=${JOBS:-250}
seconds=${JOB_SECONDS:-1}
limit=${RUNS_PER_USER:-5}

curl_with=(curl --silent --show-error --max-time 30)
[[ -z ${TOKEN:-} ]] || curl_with+=(--header "Authorization: Bearer $TOKEN")

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
printf '#!/bin/bash\nsleep %s\n' "$seconds" >"$work/run.sh"

fail() {
    printf 'quota.sh: %s\n' "$*" >&2
    exit 2
}

# The id of a new job of user $1.
submit() {
    local answer
    answer=$("${curl_with[@]}" --form "file=@$work/run.sh" --form "user_id=$1" --form "service=$service" \
        --write-out '\n%{http_code}' "$server/upload") || fail "cannot reach $server"
    [[ $answer =~ \"id\":\ *([0-9]+) && $answer == *$'\n'20[01] ]] || fail "not accepted: $answer"
    printf '%s\n' "${BASH_REMATCH[1]}"
}

# The states of the jobs given, one a line, in the same order; one connection for all.
states() {
    printf "url = $server/api/v1/jobs/%s\n" "$@" | "${curl_with[@]}" --write-out '\n' --config - |
        awk 'match($0, /"status": *"[A-Za-z]+"/) {
            word = substr($0, RSTART, RLENGTH); sub(/"$/, "", word); sub(/.*"/, "", word); print word; next
        } NF { print "quota.sh: " $0 > "/dev/stderr"; exit 2 }'
}

# Asks for all live jobs and counts. The newest are asked first: a job that ends meanwhile and one that starts in its
# place, further back in the row, are then never counted both.
declare -A count
survey() {
    local id state still=() answers
    mapfile -t answers < <(states "${live[@]}")
    ((${#answers[@]} == ${#live[@]})) || fail 'the server did not answer for every job'
    count[Queued]=0 count[active]=0
    for id in "${live[@]}"; do
        state=${answers[0]}
        answers=("${answers[@]:1}")
        case $state in
            Queued) count[Queued]=$((count[Queued] + 1)) ;;
            Processing | Submitted | Running | Unknown) count[active]=$((count[active] + 1)) ;;
            *) count[$state]=$((${count[$state]:-0} + 1)) && continue ;;
        esac
        still+=("$id")
    done
    live=("${still[@]}")
}

live=()
started=$SECONDS
for ((n = 1; n <= jobs; n++)); do
    live=("$(submit "$user")" "${live[@]}")
done
echo "$jobs jobs of user $user were accepted in $((SECONDS - started)) s"
other=$(submit "$other_user")
other_state=Queued
echo "job $other of user $other_user came after them"

most=0 overtook=no
printf '%6s %8s %8s %10s %8s   %s\n' seconds Queued active Completed other "user $other_user"
while ((${#live[@]})); do
    survey
    ((count[active] <= most)) || most=${count[active]}
    ended=$((jobs - count[Queued] - count[active]))
    if [[ $other_state != Completed ]]; then
        other_state=$(states "$other")
        [[ $other_state != Completed ]] || overtook=${count[Queued]}
    fi
    printf '%6d %8d %8d %10d %8d   %s\n' $((SECONDS - started)) "${count[Queued]}" "${count[active]}" \
        "${count[Completed]:-0}" $((ended - ${count[Completed]:-0})) "$other_state"
    sleep 1
done

echo "user $user had at most $most at once; the limit is $limit"
((most >= limit)) || echo "the limit was not reached: the clients have fewer slots, or the jobs are too few or too short"
echo "jobs of user $user still queued when user $other_user had the result: $overtook"
((most <= limit && ${count[Completed]:-0} == jobs)) && [[ $overtook != no && $overtook != 0 ]]
