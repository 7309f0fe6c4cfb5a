# Starts a loaded launchd job and waits until it has a process.
# usage: job-start.sh TARGET LOG
launchctl kickstart "$1" || exit 1
polls=0
until launchctl print "$1" | grep -q '^	pid = '; do
  polls=$((polls + 1))
  [ $polls -lt 75 ] || {
    echo "$1 does not start:" >&2
    launchctl print "$1" | grep -E '^	(state|runs|last )' >&2
    tail -n 15 "$2" >&2
    exit 1
  }
  sleep 0.2
done
