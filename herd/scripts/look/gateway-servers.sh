# What HAProxy of this host says of the Macs behind it, as CSV. usage: gateway-servers.sh PORT KEY_FILE
# The key is read by curl from its stdin: no process has it among its arguments.
[ -f "$2" ] || exit 0
{ printf 'header = "Authorization: Bearer '; cat "$2"; printf '"\n'; } |
  curl -q --noproxy '*' -s --max-time 5 --config - "http://127.0.0.1:$1/haproxy;csv"
exit 0
