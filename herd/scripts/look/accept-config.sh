# Asks llama-swap whether it accepts a configuration, by starting it on a free port of this Mac.
# usage: accept-config.sh LLAMA_SWAP CONFIG     (one that preloads nothing; it is removed)
said=$(mktemp -t herd-accept.XXXXXX)
config=$2 child=
trap 'rm -f "$said" "$config"; [ -z "$child" ] || kill "$child" 2>/dev/null' EXIT
trap 'exit 1' HUP INT TERM
free() { curl -q --noproxy '*' -s -o /dev/null --connect-timeout 2 "http://127.0.0.1:$1/health"; [ $? -eq 7 ]; }
attempt=0
while [ $attempt -lt 5 ]; do
  attempt=$((attempt + 1))
  port=$((20000 + ($$ * 7 + attempt * 1009) % 20000))
  free $port || continue
  # A key of this trial, which nobody knows.
  LLAMA_API_KEY=$(head -c 16 /dev/urandom | od -An -tx1 | tr -d ' \n') \
    "$1" --config "$2" --listen "127.0.0.1:$port" >"$said" 2>&1 &
  child=$!
  # By the clock: on a busy Mac a number of polls is over before llama-swap has started.
  limit=$(($(date +%s) + 15))
  while kill -0 $child 2>/dev/null && [ "$(date +%s)" -lt $limit ]; do
    # Whoever took the port first may answer, too; then ours ends, without the port.
    if curl -q --noproxy '*' -s -f -o /dev/null --max-time 2 "http://127.0.0.1:$port/health" &&
      sleep 0.1 && kill $child 2>/dev/null; then
      wait $child 2>/dev/null
      child=
      exit 0
    fi
    sleep 0.1
  done
  kill $child 2>/dev/null
  wait $child 2>/dev/null
  child=
  grep -qi 'address already in use' "$said" || break
done
echo "llama-swap does not accept the new config.yaml; the old one stays. It says:" >&2
cat "$said" >&2
exit 1
