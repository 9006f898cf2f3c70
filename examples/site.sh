#!/usr/bin/env bash
# The example shop as its visitors see it, for `make site`: the live job, and the shop's page.
set -euo pipefail
cd "$(dirname "$0")/shop"
. ../showing.sh

bring_client || exit 3
[ -e data/warehouse.duckdb ] || typed python generate.py --users 20000 --day 2026-03-01 --output data
rm -rf .usher # what conditions on windows of seconds have seen is of no use to these
export SHOP_EVENTS=web SHOP_RECORDED='data/live/*.jsonl'
run_job
open_shop
say "Look at its prices three times, then order something. Ctrl+C ends it"
wait "$job"
