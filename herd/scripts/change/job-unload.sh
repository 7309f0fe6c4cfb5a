# Ends a launchd job. usage: job-unload.sh TARGET SECONDS
# bootout only sends the signal: the label is taken until the process is dead, and a bootstrap in
# that time fails with "5: Input/output error".
domain=$1
. launchctl.sh
# What is not loaded needs no root.
case $1 in system/*) launchctl print "$1" >/dev/null 2>&1 || exit 0 ;; esac
said=$(change bootout "$1" 2>&1) || { refused "$said" && exit 1; }
polls=0
while launchctl print "$1" >/dev/null 2>&1; do
  polls=$((polls + 1))
  [ $polls -lt $(($2 * 5)) ] || { echo "$1 is still going away after $2 s. $said" >&2; exit 1; }
  sleep 0.2
done
