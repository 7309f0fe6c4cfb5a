# Waits until a daemon has noted that it was started as it is now. usage: await-start.sh STARTED DIGEST SECONDS
limit=$(($(date +%s) + $3))
until [ "$(head -n 1 "$1" 2>/dev/null)" = "$2" ]; do
  [ "$(date +%s)" -lt $limit ] || { echo "After $3 s the daemon has not noted its start in $1." >&2; exit 1; }
  sleep 0.2
done
