# Whether a Mac's proxy takes requests: what /readyz answers, and the word of its owner.
# usage: ready.sh PROXY_URL AVAILABILITY
# A certificate is for the name that clients use, and this is the Mac's own address; no key is shown.
curl -q --noproxy '*' -sk -o /dev/null -w '%{http_code}\n' --max-time 5 "$1/readyz"
[ ! -f "$2" ] || cat "$2"
exit 0
