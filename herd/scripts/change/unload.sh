# Has llama-swap unload a model, or all. usage: unload.sh SWAP_PORT SWAP_KEY PATH
# PATH is that of the model below llama-swap's own, or ""; the key goes to curl's standard input.
printf 'header = "Authorization: Bearer %s"\n' "$(cat "$2" 2>/dev/null)" |
  curl -q --noproxy '*' -sS --fail-with-body --max-time 120 -X POST --config - "http://127.0.0.1:$1/api/models/unload$3"
