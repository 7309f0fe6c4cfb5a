# What the stack answers on this Mac. usage: answers.sh PROXY_URL PIN ROOT SWAP_PORT SWAP_KEY PROXY_LOG
# PIN is curl's for the proxy's certificate, or "" where it has none.
# stdin: a curl option with a key's header, or nothing
proxy=$1 pin=$2 root=$3 swap=http://127.0.0.1:$4 swap_key=$5 proxy_log=$6
header=$(cat)
get() { curl -q --noproxy '*' -s --max-time 5 -w '\n%{http_code}\n' "$@"; }
# A certificate is for the name that clients use, and this is the Mac's own address: so what counts
# is its key (-k leaves that check).
proxy() { get -k ${pin:+--pinnedpubkey "$pin"} "$@"; }
with_swap_key() {
  printf 'header = "Authorization: Bearer %s"\n' "$(cat "$swap_key" 2>/dev/null)" | get --config - "$@"
}
# Without root, lsof shows only one's own processes: a stranger's has none.
is_ours() {
  port=${proxy##*:}
  pids=$(lsof -nP -iTCP:"$port" -sTCP:LISTEN 2>/dev/null | awk 'NR > 1 { print $2 }' | sort -u)
  for pid in $pids; do
    case $(ps -ww -o args= -p "$pid") in *"$root/"*) ;; *) return 1 ;; esac
  done
  [ -n "$pids" ]
}
echo "--- health"
get "$swap/health"
echo "--- open"
get -o /dev/null "$swap/running"
echo "--- models"
with_swap_key "$swap/v1/models"
echo "--- running"
with_swap_key "$swap/running"
echo "--- answered"
ls "$root/answered" 2>/dev/null
echo "--- anonymous"
proxy "$proxy/v1/models"
[ $? -ne 90 ] || echo "--- other certificate"
# A changed list of keys is read with the request before; only the end of a long log is looked at.
# From the beginning of a line on: a client may name a model as it likes.
echo "--- keys"
[ ! -f "$proxy_log" ] || tail -n 500 "$proxy_log" | grep -E '^[^ ]+ (ERROR the old keys stay in force|INFO (keys read again|listening on))' | tail -n 1
# How the last request of each model ended that llama-swap could not serve: what a client would meet.
echo "--- last"
[ ! -f "$proxy_log" ] || tail -n 500 "$proxy_log" | awk '
  $2 == "INFO" && $3 == "access" {
    model = status = ""
    for (i = 4; i <= NF; i++) {
      if ($i ~ /^model=/) model = substr($i, 7)
      if ($i ~ /^status=/) status = substr($i, 8)
    }
    if (model != "") last[model] = status " " $1
  }
  END { for (model in last) if (last[model] ~ /^50[02] /) print model, last[model] }
'
is_ours || { echo "--- stranger"; exit 0; }
[ -n "$header" ] || exit 0
echo "--- key"
printf '%s\n' "$header" | proxy --config - "$proxy/v1/models"
exit 0
