# Loads each model that has saved slots, and has it read them again.
# usage: slots-restore.sh ROOT SWAP_PORT SWAP_KEY SECONDS [MODEL PATH HEADING DIRECTORY]...
# PATH is the model's below llama-swap's upstreams, HEADING its line in config.yaml. What was saved goes
# then, taken or not: one of another build or model is of no use, and one that was taken is old with
# the next request, as is one of an hour ago.
# Prints a line for each model.
root=$1 port=$2 key=$3 limit=$4
shift 4
. slots.sh
while [ $# -ge 4 ]; do
  model=$1 path=$2 heading=$3 directory=$4
  shift 4
  restored=0 found='' of='' its=$(of_model "$model")
  find "$directory" -maxdepth 1 -name "$its-*.slot" -mmin +60 -exec rm -f {} + 2>/dev/null
  for file in "$directory/$its"-*.slot; do
    [ -f "$file" ] || continue
    # By the first question llama-swap loads the model, as soon as it is there itself.
    [ -n "$found" ] ||
      of=$(of_build "$(get --retry 5 --retry-connrefused --retry-delay 1 "$swap/upstream/$path/props")" "$heading")
    found=1 name=${file##*/} slot=${file##*-}
    if [ -n "$of" ] && [ "$name" = "$its-$of-$slot" ]; then
      said=$(get -X POST -H 'Content-Type: application/json' --data-raw "{\"filename\":\"$name\"}" "$swap/upstream/$path/slots/${slot%.slot}?action=restore")
      tokens=$(printf '%s\n' "$said" | grep -o '"n_restored":[0-9]*' | cut -d : -f 2)
      restored=$((restored + ${tokens:-0}))
    fi
    rm -f "$file"
  done
  [ -z "$found" ] || echo "$model: $restored tokens of its prompt caches are there again"
done
rm -f "$root/saved-slots"
exit 0
