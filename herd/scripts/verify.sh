# Waits until the stack serves, within a limit, or says why it does not.
# usage: verify.sh SECONDS LOAD_SECONDS LLAMA_SWAP_PORT PROXY_URL LLAMA_SWAP_LOG PROXY_LOG \
#          [MODEL URL BODY]...
# Each BODY is a one-token completion of a model that is to be loaded, for the proxy or, where the
# key does not open it, for llama-swap itself.
# stdin: a curl option with a key's header, or nothing: then no request with a key is tried
limit=$1 load=$2 swap=http://127.0.0.1:$3 proxy=$4 swap_log=$5 proxy_log=$6
shift 6
header=$(cat)
answer=$(mktemp -t herd-verify.XXXXXX)
trap 'rm -f "$answer"' EXIT
# -k: a certificate is for the name that clients use, and this is the Mac's own address.
get() { curl --noproxy '*' -sk --max-time 10 -o "$answer" -w '%{http_code}' "$@"; }
with_key() { printf '%s\n' "$header" | get --config - "$@"; }

# One line per check that fails; silence is success.
wrong() {
  : >"$answer"
  code=$(get "$swap/health")
  [ "$code" = 200 ] || { echo "llama-swap does not answer on $swap (HTTP $code)"; return; }
  code=$(get "$proxy/v1/models")
  [ "$code" = 401 ] || { echo "the proxy on $proxy answers HTTP $code without a key, not 401"; return; }
  [ -n "$header" ] || return
  code=$(with_key "$proxy/v1/models")
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
    exit 1
  fi
  [ "$reason" = "$last" ] || [ $now -lt 3 ] || echo "waiting: $reason"
  last=$reason
  sleep 0.5
done

ask() {
  sent=
  [ "$1" != "$proxy" ] || sent=$header
  printf '%s\n' "$sent" | curl --noproxy '*' -sk --config - --max-time "$load" -o "$answer" -w '%{http_code}' \
    -H 'Content-Type: application/json' --data-raw "$2" "$1/v1/chat/completions"
}

while [ $# -ge 3 ]; do
  echo "loading $1"
  began=$(date +%s)
  code=$(ask "$2" "$3")
  if [ "$code" = 429 ] && [ "$2" = "$proxy" ]; then
    echo "the key is over its limit: asking llama-swap itself"
    code=$(ask "$swap" "$3")
  fi
  if [ "$code" != 200 ]; then
    echo "$1 does not complete (HTTP $code): $(head -c 500 "$answer")" >&2
    echo "The last lines of $swap_log:" >&2
    tail -n 20 "$swap_log" >&2
    exit 1
  fi
  echo "$1 completes, after $(($(date +%s) - began)) s"
  shift 3
done
