# Runs a loaded job of the system that ends by itself, and waits for that. usage: root-job-run.sh TARGET
domain=system
. launchctl.sh
change kickstart "$1" || exit 1
polls=0
# launchd lets a job that ended just now wait: then its state is "spawn scheduled".
while said=$(launchctl print "$1") && printf '%s\n' "$said" | grep -qE '^	(pid = |state = spawn)'; do
  polls=$((polls + 1))
  [ $polls -lt 75 ] || { echo "$1 does not end" >&2; exit 1; }
  sleep 0.2
done
printf '%s\n' "$said" | grep -q '^	last exit code = 0' && exit 0
echo "$1 does not end well:" >&2
printf '%s\n' "$said" | grep -E '^	(state|runs|last )' >&2
exit 1
