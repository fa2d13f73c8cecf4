#!/usr/bin/env bash
# The service through curl: a file, its embedding, what a request would cost, a job with its events and its result, and
# what an error looks like.
#
#     overtone serve                                       # in another terminal
#     examples/client/curl.sh [URL] [AUDIO]
#
# Where the service asks for keys, OVERTONE_KEY holds one. Needs bash, awk and curl 7.76 or later.
set -euo pipefail

url=${1:-http://127.0.0.1:8765}
audio=${2:-$(dirname "$0")/../call.mp3}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# The key goes to curl through a file, so that it does not stand in the list of processes. No key, no header.
printf '%s' "${OVERTONE_KEY:+Authorization: Bearer $OVERTONE_KEY}" >"$work/headers"

ask() {
    curl --silent --show-error --fail-with-body --header "@$work/headers" "$@"
}

say() {
    printf '\n# %s\n' "$*"
}

say "the emotion of a file"
ask "$url/v1/emotion?granularity=utterance" --form "file=@$audio"

say "the same from a pipe, the body being the file itself, and a line for each channel"
ask "$url/v1/emotion?name=call&channels=split&granularity=utterance" \
    --header "Content-Type: application/octet-stream" --data-binary @- <"$audio"

say "what took how long, and where the answer came from"
ask "$url/v1/emotion?granularity=utterance" --form "file=@$audio" --output "$work/record" --dump-header - |
    grep -iE '^(server-timing|x-overtone-cache|x-request-id):'

say "its embedding, and those of every 20 ms for NumPy"
ask "$url/v1/embeddings" --form "file=@$audio"
ask "$url/v1/embeddings?format=npz&granularity=frame" --form "file=@$audio" --output "$work/frames.npz"
printf '\n%s bytes of .npz\n' "$(wc -c <"$work/frames.npz")"

say "what ten minutes of audio would cost now"
ask "$url/v1/plan?seconds=600"

say "a job of two files: where it is"
job=$(ask "$url/v1/jobs?granularity=utterance" --form "file=@$audio" --form "file=@$audio;filename=again" \
    --output /dev/null --dump-header - | tr -d '\r' | awk 'tolower($1) == "location:" { print $2 }')
echo "$job"

say "how far it is, until it is finished"
ask --no-buffer "$url$job/events"

say "its records, and then it is deleted"
ask "$url$job/result"
ask --request DELETE "$url$job"

say "an error"
if ask "$url/v1/emotion?hop=soon" --form "file=@$audio"; then
    exit 1
fi
echo
