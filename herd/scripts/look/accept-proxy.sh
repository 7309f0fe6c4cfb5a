# Tries whether the proxy comes up with its keys, by starting it on a free port of this Mac.
# usage: accept-proxy.sh SCHEME RELEASE PYTHON ARGUMENT...     (those of `proxy serve`, but --listen)
scheme=$1 release=$2 python=$3
shift 3
# Its books and its socket for commands are its own: the one that runs has to be told more.
own=$(mktemp -d -t herd-accept.XXXXXX) || exit 1
said=$own/said
child=
trap 'rm -rf "$own"; [ -z "$child" ] || kill "$child" 2>/dev/null' EXIT
trap 'exit 1' HUP INT TERM
ask() { curl -q --noproxy '*' -k -s -o /dev/null --connect-timeout 2 --max-time 2 "$scheme://127.0.0.1:$port/healthz"; }
attempt=0
while [ $attempt -lt 5 ]; do
  attempt=$((attempt + 1))
  port=$((20000 + ($$ * 7 + attempt * 1013) % 20000))
  ask
  [ $? -eq 7 ] || continue
  PYTHONSAFEPATH=1 PYTHONPATH=$release "$python" -m proxy serve "$@" --usage "$own/usage.db" \
    --availability "$own/availability.json" --listen "127.0.0.1:$port" >"$said" 2>&1 </dev/null &
  child=$!
  limit=$(($(date +%s) + 20))
  while kill -0 $child 2>/dev/null && [ "$(date +%s)" -lt $limit ]; do
    # Any answer of it will do: that llama-swap is not there yet is not its fault.
    if ask && sleep 0.1 && kill $child 2>/dev/null; then
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
echo "The new proxy does not come up; the old one stays. It says:" >&2
tail -n 20 "$said" >&2
exit 1
