# Has llama-swap load a model, and waits until its llama-server is healthy.
# usage: load.sh SWAP_PORT SWAP_KEY PATH SECONDS
# PATH is that of the model below llama-swap's upstreams; the key goes to curl's standard input.
said=$(mktemp -t herd-load.XXXXXX)
trap 'rm -f "$said"' EXIT
printf 'header = "Authorization: Bearer %s"\n' "$(cat "$2" 2>/dev/null)" |
  curl -q --noproxy '*' -sS --fail-with-body -o "$said" --max-time "$4" --config - "http://127.0.0.1:$1/upstream/$3/health" || {
  code=$?
  head -c 500 "$said" >&2
  exit $code
}
