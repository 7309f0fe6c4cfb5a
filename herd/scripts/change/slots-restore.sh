# Loads each model that has saved slots, and has it read them again.
# usage: slots-restore.sh SWAP_PORT SWAP_KEY SECONDS [PATH DIRECTORY MARK]...
# PATH is that of the model below llama-swap's upstreams. What was saved goes then, taken or not:
# one of another build is refused, and one that was taken is old with the next request.
# Prints a line for each model.
swap=http://127.0.0.1:$1 key=$2 limit=$3
shift 3
get() {
  printf 'header = "Authorization: Bearer %s"\n' "$(cat "$key" 2>/dev/null)" |
    curl -q --noproxy '*' -s --retry 5 --retry-connrefused --retry-delay 1 --max-time "$limit" --config - "$@"
}
while [ $# -ge 3 ]; do
  path=$1 directory=$2 mark=$3
  shift 3
  restored=0 found=
  for file in "$directory"/herd-"$mark"-*.slot; do
    [ -f "$file" ] || continue
    found=1 name=${file##*/} slot=${file##*-}
    said=$(get -X POST -H 'Content-Type: application/json' --data-raw "{\"filename\":\"$name\"}" "$swap/upstream/$path/slots/${slot%.slot}?action=restore")
    tokens=$(printf '%s\n' "$said" | grep -o '"n_restored":[0-9]*' | cut -d : -f 2)
    restored=$((restored + ${tokens:-0}))
    rm -f "$file"
  done
  [ -z "$found" ] || echo "$path: $restored tokens of its prompt caches are there again"
done
exit 0
