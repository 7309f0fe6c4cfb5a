# What the gateway of this host answers: to /readyz, to no key, and to a key, if there is one.
# usage: gateway.sh URL
# stdin: a curl option with a key's header, or nothing
header=$(cat)
# A certificate is for the name that clients use, and this is the host's own address.
code() { curl -q --noproxy '*' -sk -o /dev/null -w '%{http_code}\n' --max-time 5 "$@"; }
code "$1/readyz"
code "$1/v1/models"
[ -z "$header" ] || printf '%s\n' "$header" | code --config - "$1/v1/models"
exit 0
