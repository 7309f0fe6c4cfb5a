# Ends processes, with force after a while. usage: stop-processes.sh PID...
# Asked one by one: whether `kill -0` of several fails when one of them is gone depends on the shell.
any_lives() { for pid; do kill -0 "$pid" 2>/dev/null && return 0; done; return 1; }
kill "$@" 2>/dev/null
polls=0
while any_lives "$@"; do
  polls=$((polls + 1))
  [ $polls -lt 200 ] || kill -9 "$@" 2>/dev/null
  [ $polls -lt 225 ] || { echo "still running: $*" >&2; exit 1; }
  sleep 0.2
done
exit 0
