# Who listens on ports of this Mac. usage: listeners.sh PORT...
# Found by connecting: without root, lsof shows only one's own processes.
. holders.sh
for port; do
  curl -q --noproxy '*' -s -o /dev/null --connect-timeout 2 --max-time 3 "http://127.0.0.1:$port/health"
  [ $? -eq 7 ] && continue
  printf 'port\t%s\n' "$port"
  for pid in $(holders "$port"); do
    parent=$(ps -o ppid= -p "$pid" | tr -d ' ')
    command=$(ps -ww -o args= -p "$pid")
    # What was started by hand may name its files as they are seen from its directory.
    case $command in
      *[\ =]/*) directory= ;;
      *) directory=$(started_in "$pid") ;;
    esac
    printf 'pid\t%s\t%s\t%s\t%s\n' "$pid" "$parent" "$directory" "$command"
  done
done
