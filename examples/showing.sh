# What demonstrations have in common; to be sourced in the project's folder.

PATH="$PWD/../../.venv/bin:$PATH"
url="http://${SHOP_USHER:-127.0.0.1:8080}"
port=${SHOP_PORT:-8090}
shop="http://127.0.0.1:$port"

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

answers() { python -c "import urllib.request as r; r.urlopen('$1')" 2> /dev/null; }

# The job, as $job, until it takes events; if it ends instead, it has said why.
run_job() {
  if answers "$url/livez"; then
    echo "Something answers at $url already: end it, or name another address by SHOP_USHER."
    exit 3
  fi
  printf '%s$ usher run%s    (but for those who are in from the beginning)\n' "$bold" "$plain"
  usher run > >(grep --line-buffered -v '  initial$') &
  job=$!
  started+=("$job")
  while ! answers "$url/readyz"; do
    kill -0 "$job" 2> /dev/null || exit 3
    sleep 0.2
  done
}

# What npm brings for the shop's page, unless it is there; if it cannot, a sentence says so.
bring_client() {
  if ! command -v npm > /dev/null; then
    echo "The shop's page needs npm, which brings Segment's client (Debian: apt-get install npm)."
    return 1
  fi
  local said
  if ! said=$(PYTHONPATH=site python -c 'import serve; serve.install_client()' 2>&1 | tail -n 1); then
    echo "The shop's page needs Segment's client, which npm could not bring: $said"
    return 1
  fi
}

# The shop's own server; it says when it answers.
open_shop() {
  USHER_KEY=$(usher keys create --scope audiences:read --expires 1d --name site \
    2> >(grep -v 'shown this once' >&2))
  USHER_KEY=$USHER_KEY python site/serve.py --usher "$url" --port "$port" &
  started+=("$!")
  while ! answers "$shop"; do
    kill -0 "${started[-1]}" 2> /dev/null || exit 3
    sleep 0.2
  done
}
