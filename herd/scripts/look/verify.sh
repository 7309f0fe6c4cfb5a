# Waits until the stack serves, within a limit, or says why it does not.
# usage: verify.sh SECONDS LOAD_SECONDS PROXY_URL PIN ROOT SWAP_PORT SWAP_KEY SWAP_LOG PROXY_LOG \
#          [MODEL MARK URL PATH BODY HOLDS]...
# PIN is curl's for the proxy's certificate, or "" where it has none.
# Each BODY is for PATH, what is asked of a model that is to be loaded: of the proxy or, where the
# key does not open it, of llama-swap itself. An answer has HOLDS in it, a pattern of grep; then a
# file MARK in ROOT/answered says that this model, as it is now, has answered.
# stdin: a curl option with a key's header, or nothing: then no request with a key is tried
limit=$1 load=$2 proxy=$3 pin=$4 root=$5 swap=http://127.0.0.1:$6 swap_key=$7 swap_log=$8 proxy_log=$9
shift 9
header=$(cat)
answer=$(mktemp -t herd-verify.XXXXXX)
trap 'rm -f "$answer"' EXIT
get() { curl -q --noproxy '*' -s --max-time 10 -o "$answer" -w '%{http_code}' "$@"; }
# A certificate is for the name that clients use, and this is the Mac's own address: so what counts
# is its key (-k leaves that check).
proxy() { get -k ${pin:+--pinnedpubkey "$pin"} "$@"; }
swap_header() { printf 'header = "Authorization: Bearer %s"\n' "$(cat "$swap_key" 2>/dev/null)"; }
# Without root, lsof shows only one's own processes: a stranger's has none.
is_ours() {
  port=${proxy##*:}
  pids=$(lsof -nP -iTCP:"$port" -sTCP:LISTEN 2>/dev/null | awk 'NR > 1 { print $2 }' | sort -u)
  for pid in $pids; do
    case $(ps -ww -o args= -p "$pid") in *"$root/"*) ;; *) return 1 ;; esac
  done
  [ -n "$pids" ]
}

# One line per check that fails; silence is success.
wrong() {
  : >"$answer"
  code=$(get "$swap/health")
  [ "$code" = 200 ] || { echo "llama-swap does not answer on $swap (HTTP $code)"; return; }
  code=$(swap_header | get --config - "$swap/running")
  [ "$code" = 200 ] || { echo "llama-swap answers HTTP $code with its key, not 200"; return; }
  code=$(get "$swap/running")
  [ "$code" = 401 ] || { echo "llama-swap answers HTTP $code without its key, not 401"; return; }
  code=$(proxy "$proxy/v1/models")
  [ $? -ne 90 ] || { echo "the proxy on $proxy shows another certificate than the deployed one"; return; }
  [ "$code" = 401 ] || { echo "the proxy on $proxy answers HTTP $code without a key, not 401"; return; }
  is_ours || { echo "somebody else listens on $proxy, who gets no key"; return; }
  [ -n "$header" ] || return
  code=$(printf '%s\n' "$header" | proxy --config - "$proxy/v1/models")
  [ "$code" = 200 ] || { echo "the proxy on $proxy answers HTTP $code with a key, not 200"; return; }
}

began=$(date +%s) last=
while reason=$(wrong) && [ -n "$reason" ]; do
  now=$(($(date +%s) - began))
  if [ $now -ge "$limit" ]; then
    echo "After $limit s: $reason. If a service hangs, \`make restart\` ends it." >&2
    for log in "$swap_log" "$proxy_log"; do
      echo "The last lines of $log:" >&2
      tail -n 12 "$log" >&2
    done
    if tail -n 12 "$swap_log" "$proxy_log" | grep -q 'Operation not permitted'; then
      echo "macOS keeps launchd jobs off some folders and removable volumes: allow it under Privacy & Security > Files and Folders, or move the stack." >&2
    fi
    exit 1
  fi
  [ "$reason" = "$last" ] || [ $now -lt 3 ] || echo "waiting: $reason"
  last=$reason
  sleep 0.5
done

ask() {
  if [ "$1" = "$proxy" ]; then printf '%s\n' "$header"; else swap_header; fi |
    proxy --config - --max-time "$load" -H 'Content-Type: application/json' \
      --data-raw "$3" "$1$2"
}
fail() {
  echo "$1: $(head -c 500 "$answer")" >&2
  echo "The last lines of $swap_log:" >&2
  tail -n 20 "$swap_log" >&2
  exit 1
}

# What answered before may not be there any more.
rm -rf "$root/answered"

while [ $# -ge 6 ]; do
  echo "loading $1"
  began=$(date +%s)
  code=$(ask "$3" "$4" "$5")
  why=
  if [ "$3" = "$proxy" ]; then
    [ "$code" != 429 ] || why="the key is over its limit"
    [ "$code" != 503 ] || ! grep -q '"draining"' "$answer" || why="nobody is let in yet"
  fi
  if [ -n "$why" ]; then
    echo "$why: asking llama-swap itself"
    code=$(ask "$swap" "$4" "$5")
  fi
  [ "$code" = 200 ] || fail "$1 does not answer on $4 (HTTP $code)"
  grep -q -e "$6" "$answer" || fail "$1 answers nothing on $4"
  echo "$1 answers, after $(($(date +%s) - began)) s"
  mkdir -p "$root/answered" && : >"$root/answered/$2" || exit 1
  shift 6
done
