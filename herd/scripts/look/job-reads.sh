# Which directories a job of launchd may not read in the user's session: macOS's privacy keeps jobs
# off removable volumes, and SSH is no guide. usage: job-reads.sh UID DIRECTORY...
# A job of its own looks into each, and is gone again.
uid=$1
shift
label=com.moonspirit.probe.$$
target=gui/$uid/$label
plist=$(mktemp -t herd-probe.XXXXXX) && mv "$plist" "$plist.plist" && plist=$plist.plist
trap 'launchctl bootout "$target" >/dev/null 2>&1; rm -f "$plist"' EXIT
# What is not there yet is made in the nearest that is.
number=$#
while [ $number -gt 0 ]; do
  directory=$1
  shift
  while [ ! -d "$directory" ]; do directory=${directory%/*}; [ -n "$directory" ] || directory=/; done
  set -- "$@" "$directory"
  number=$((number - 1))
done
xml() { printf '%s' "$1" | sed 's/&/\&amp;/g; s/</\&lt;/g'; }
{
  echo '<?xml version="1.0" encoding="UTF-8"?><plist version="1.0"><dict>'
  echo "<key>Label</key><string>$label</string><key>RunAtLoad</key><true/>"
  echo '<key>ProgramArguments</key><array><string>/bin/sh</string><string>-c</string>'
  # Exit codes from 101 on: launchctl has names for some of those below.
  echo '<string>n=100; for d; do n=$((n + 1)); ls "$d" &gt;/dev/null 2&gt;&amp;1 || exit $n; done</string>'
  echo '<string>probe</string>'
  for directory; do echo "<string>$(xml "$directory")</string>"; done
  echo '</array></dict></plist>'
} >"$plist"
launchctl bootstrap "gui/$uid" "$plist" >/dev/null 2>&1 || exit 0
polls=0
while [ $polls -lt 50 ]; do
  polls=$((polls + 1))
  code=$(launchctl print "$target" 2>/dev/null | sed -n 's/^	last exit code = \([0-9]*\).*/\1/p')
  if [ -n "$code" ]; then
    [ "$code" -gt 100 ] 2>/dev/null || exit 0
    shift $((code - 101))
    printf 'denied\t%s\n' "$1"
    exit 0
  fi
  sleep 0.2
done
exit 0
