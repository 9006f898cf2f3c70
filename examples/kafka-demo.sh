#!/usr/bin/env bash
# The demonstration that `make kafka-demo` runs: a broker, the live job between two of its topics,
# and a simulated stream, for half a minute.
set -euo pipefail
cd "$(dirname "$0")/kafka"
PATH="$PWD/../../.venv/bin:$PATH"

bold="" plain=""
if [ -t 1 ]; then bold=$'\033[1m' plain=$'\033[0m'; fi
say() { printf '\n%s# %s%s\n' "$bold" "$*" "$plain"; }

folder=$(mktemp -d)
started=()
finish() {
  for one in "${started[@]}"; do
    kill -TERM "$one" 2> /dev/null || true
    wait "$one" 2> /dev/null || true
  done
  rm -rf "$folder"
}
trap finish EXIT

say "A Kafka broker on this machine"
mkfifo "$folder/address"
python broker.py > "$folder/address" &
broker=$!
read -r KAFKA_BOOTSTRAP name < "$folder/address"
export KAFKA_BOOTSTRAP
echo "$name, at $KAFKA_BOOTSTRAP"
started+=("$broker")
python produce.py "$KAFKA_BOOTSTRAP" --make web-events transitions

say "The shop's audiences, on a topic"
mkdir "$folder/project"
cp usher.yml ../shop/audiences.yml ../shop/schema.yml "$folder/project"
python ../shop/generate.py --users 2000 --day 2026-03-01 --output "$folder/project/data"

say "The live job: entries and exits as they happen, printed and sent to another topic"
set -a
. ../shop/live.env
set +a
printf '%s$ usher run%s    (but for those who are in from the beginning)\n' "$bold" "$plain"
usher -C "$folder/project" run > >(grep --line-buffered -v '  initial$') &
job=$!
started=("$job" "$broker")
python ../shop/simulate.py --seconds 25 --rate 20 --output /dev/stdout \
  | python produce.py "$KAFKA_BOOTSTRAP" web-events
sleep 8 # nothing arrives any more, and yet members leave as their windows pass
kill -TERM "$job"
wait "$job"
started=("$broker")

say "What the topic 'transitions' has got of it"
python consume.py "$KAFKA_BOOTSTRAP" transitions
