#!/usr/bin/env bash
# The demonstration that `make demo` runs: a recorded day of the example shop, replayed; then the
# live job on a simulated stream, for half a minute.
set -euo pipefail
cd "$(dirname "$0")/shop"
PATH="$PWD/../../.venv/bin:$PATH"

bold="" plain=""
if [ -t 1 ]; then bold=$'\033[1m' plain=$'\033[0m'; fi
say() { printf '\n%s# %s%s\n' "$bold" "$*" "$plain"; }
typed() {
  printf '%s$ %s%s\n' "$bold" "$*" "$plain"
  "$@"
}

say "A day of a shop with 20,000 customers, and its warehouse"
typed python generate.py --users 20000 --day 2026-03-01 --output data

say "Who entered and left which audience on that day"
typed usher backtest

say "The same audiences with windows of seconds, live: entries and exits as they happen"
rm -rf data/live .usher
mkdir -p data/live
set -a
. ./live.env
set +a
printf '%s$ usher run%s    (but for those who are in from the beginning)\n' "$bold" "$plain"
usher run > >(grep --line-buffered -v '  initial$') &
job=$!
trap 'kill -TERM "$job" 2> /dev/null; wait "$job"' EXIT
python simulate.py --seconds 30 --rate 20
sleep 8 # nothing arrives any more, and yet members leave as their windows pass
