# What demonstrations have in common; to be sourced in the project's folder.

PATH="$PWD/../../.venv/bin:$PATH"
url="http://${SHOP_USHER:-127.0.0.1:8080}"

bold="" plain=""
if [ -t 1 ]; then bold=$'\033[1m' plain=$'\033[0m'; fi
say() { printf '\n%s# %s%s\n' "$bold" "$*" "$plain"; }
typed() {
  printf '%s$ %s%s\n' "$bold" "$*" "$plain"
  "$@"
}

started=()
finish() {
  for one in "${started[@]}"; do
    kill -TERM "$one" 2> /dev/null || true
    wait "$one" 2> /dev/null || true
  done
}
trap finish EXIT
trap 'exit 130' INT TERM

# The job, as $job, until it takes events; if it ends instead, it has said why.
run_job() {
  printf '%s$ usher run%s    (but for those who are in from the beginning)\n' "$bold" "$plain"
  usher run > >(grep --line-buffered -v '  initial$') &
  job=$!
  started+=("$job")
  while ! python -c "import urllib.request as r; r.urlopen('$url/readyz')" 2> /dev/null; do
    kill -0 "$job" 2> /dev/null || exit 3
    sleep 0.2
  done
}

# The shop's own server, where npm is there to bring the client for its page.
open_shop() {
  if ! command -v npm > /dev/null; then
    echo "The shop's page needs npm, which brings Segment's client (Debian: apt-get install npm)."
    return
  fi
  USHER_KEY=$(usher keys create --scope audiences:read --expires 1d --name site \
    2> >(grep -v 'shown this once' >&2))
  USHER_KEY=$USHER_KEY python site/serve.py --usher "$url" --port "${SHOP_PORT:-8090}" &
  started+=("$!")
}
