# What the stack answers on this Mac. usage: answers.sh LLAMA_SWAP_PORT PROXY_URL PROXY_LOG
# stdin: a curl option with a key's header, or nothing
header=$(cat)
# -k: a certificate is for the name that clients use, and this is the Mac's own address.
get() { curl --noproxy '*' -sk --max-time 5 -w '\n%{http_code}\n' "$@"; }
echo "--- health"
get "http://127.0.0.1:$1/health"
echo "--- models"
get "http://127.0.0.1:$1/v1/models"
echo "--- running"
get "http://127.0.0.1:$1/running"
echo "--- anonymous"
get "$2/v1/models"
# A changed list of keys is read with the request before; only the end of a long log is looked at.
# From the beginning of a line on: a client may name a model as it likes.
echo "--- keys"
[ ! -f "$3" ] || tail -n 500 "$3" | grep -E '^[^ ]+ (ERROR the old keys stay in force|INFO (keys read again|listening on))' | tail -n 1
[ -n "$header" ] || exit 0
echo "--- key"
printf '%s\n' "$header" | get --config - "$2/v1/models"
exit 0
