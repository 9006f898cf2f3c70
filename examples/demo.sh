#!/usr/bin/env bash
# The demonstration that `make demo` runs: a recorded day of the example shop, replayed; then the
# live job, to which visitors' events are sent for half a minute, and the shop's page.
set -euo pipefail
cd "$(dirname "$0")/shop"
. ../showing.sh

say "A day of a shop with 20,000 customers, and its warehouse"
typed python generate.py --users 20000 --day 2026-03-01 --output data

say "Who entered and left which audience on that day"
typed usher backtest

say "The same audiences with windows of seconds, live: entries and exits as they happen"
rm -rf .usher
set -a
. ./live.env
set +a
bring_client && has_page=yes || has_page=
run_job
if [ -n "$has_page" ]; then
  open_shop
  say "Look at its prices three times: a banner appears. Order something: it is gone, at once"
fi
typed python simulate.py --seconds 30 --rate 20 --url "$url"
sleep 8 # nothing arrives any more, and yet members leave as their windows pass

if [ -n "${KEEP:-}" ] || { [ -n "$has_page" ] && [ -t 1 ]; }; then
  say "The shop stays open at $shop until you press Ctrl+C"
  trap 'exit 0' INT
  wait "$job"
fi
say "\`make site\` opens the shop again, to look around for as long as you like"
