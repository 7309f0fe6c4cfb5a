# What a stack does right now. usage: live.sh ROOT SWAP_PORT [HAPROXY_PORT]
# Only the owner's own rights are needed: no key of a client. A llama-server is asked itself, as
# llama-swap takes a request through it for use, and would never unload what is looked at.
root=$1 swap=http://127.0.0.1:$2 haproxy=$3
LC_ALL=C
export LC_ALL
. memory.sh
. proxy-metrics.sh
get() { curl -q --noproxy '*' -s --max-time 3 "$@"; }
with_key() { # FILE URL
  printf 'header = "Authorization: Bearer %s"\n' "$(cat "$1" 2>/dev/null)" | get --config - "$2"
  echo
}
echo "--- running"
running=$(with_key "$root/llama-swap.key" "$swap/running")
printf '%s\n' "$running"
for url in $(printf '%s\n' "$running" | grep -o '"proxy":"http://127\.0\.0\.1:[0-9]*"' | cut -d '"' -f 4); do
  echo "--- slots $url"
  with_key "$root/llama-swap.key" "$url/slots"
done
echo "--- proxy"
proxy_metrics "$root/availability.sock"
[ -n "$haproxy" ] || exit 0
echo "--- gateway"
proxy_metrics "$root/gateway/availability.sock"
echo "--- haproxy"
with_key "$root/gateway/gateway.key" "http://127.0.0.1:$haproxy/haproxy;csv"
exit 0
