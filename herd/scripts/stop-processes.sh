# Ends processes, with force after a while. usage: stop-processes.sh PID...
kill "$@" 2>/dev/null
polls=0
while kill -0 "$@" 2>/dev/null; do
  polls=$((polls + 1))
  [ $polls -lt 200 ] || kill -9 "$@" 2>/dev/null
  [ $polls -lt 225 ] || { echo "still running: $*" >&2; exit 1; }
  sleep 0.2
done
exit 0
