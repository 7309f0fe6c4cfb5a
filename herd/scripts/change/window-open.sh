# Opens the stack's Terminal window by its job, unless one that was opened just now comes up.
# usage: window-open.sh TARGET PORT...
target=$1
shift
polls=0
while [ $polls -lt 16 ]; do
  polls=$((polls + 1))
  silent=
  for port; do
    curl -q --noproxy '*' -s -o /dev/null --max-time 2 "http://127.0.0.1:$port/health"
    [ $? -ne 7 ] || silent=yes
  done
  [ -n "$silent" ] || exit 0
  sleep 0.5
done
launchctl kickstart "$target"
