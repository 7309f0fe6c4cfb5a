# Has each llama-server that runs save what its slots have read, before it ends.
# usage: slots-save.sh ROOT SWAP_PORT SWAP_KEY SECONDS MOST_KB [MODEL PATH HEADING DIRECTORY]...
# PATH is the model's below llama-swap's upstreams, HEADING its line in config.yaml. A slot that works
# is left alone, and so is a directory that is not there. Files are for their owner only (llama-server's
# umask); all together take at most so much, and what is free: what is more goes again, as does what
# was there before. ROOT/saved-slots says that there are some.
# Prints a line for each model.
root=$1 port=$2 key=$3 limit=$4 left=$5
shift 5
. slots.sh
rm -f "$root/saved-slots"
running=$(get "$swap/running" | sed 's/},{"model"/}\
{"model"/g')
(
  while [ $# -ge 4 ]; do
    rm -f "$4"/herd-*.slot
    shift 4
  done
)
# A llama-server that is older than config.yaml need not be as that says. usage: is_as_declared URL
is_as_declared() {
  changed=$(stat -f %m "$root/config.yaml" 2>/dev/null) || return 1
  # etime is [[dd-]hh:]mm:ss.
  age=$(ps -axww -o etime=,args= | awk -v port="--port ${1##*:} " 'index($0 " ", port) { print $1; exit }' |
    awk -F '[-:]' '{ split("1 60 3600 86400", by, " "); for (i = NF; i > 0; i--) age += $i * by[NF - i + 1]; print age }')
  [ -n "$age" ] && [ "$age" -lt $(($(date +%s) - changed)) ]
}
while [ $# -ge 4 ]; do
  model=$1 heading=$3 directory=$4
  shift 4
  [ -d "$directory" ] || continue
  url=$(printf '%s\n' "$running" | grep -F "\"model\":\"$model\"," | grep -F '"state":"ready"' |
    grep -o '"proxy":"http://127\.0\.0\.1:[0-9]*"' | cut -d '"' -f 4)
  if [ -z "$url" ] || ! is_as_declared "$url"; then continue; fi
  of=$(of_build "$(get "$url/props")" "$heading")
  [ -n "$of" ] || continue
  saved=0
  # A slot that is at work answers only once it is not.
  for slot in $(get "$url/slots" | grep -o '"id":[0-9]*,"n_ctx":[0-9]*,"speculative":[a-z]*,"is_processing":false' |
    sed 's/"id":\([0-9]*\).*/\1/'); do
    name=$(of_model "$model")-$of-$slot.slot
    said=$(get -X POST -H 'Content-Type: application/json' --data-raw "{\"filename\":\"$name\"}" "$url/slots/$slot?action=save")
    file=$directory/$name
    size=$(($(wc -c <"$file" 2>/dev/null || echo 0) / 1024 + 1))
    free=$(df -Pk "$directory" | awk 'NR == 2 { print $4 }')
    if [ $size -gt "$left" ] || [ $size -gt "$free" ]; then
      rm -f "$file"
      echo "$model: a prompt cache of $size KiB is too large to be saved"
      continue
    fi
    tokens=$(printf '%s\n' "$said" | grep -o '"n_saved":[0-9]*' | cut -d : -f 2)
    case $tokens in
      '' | 0) rm -f "$file" ;;
      *) saved=$((saved + tokens)) left=$((left - size)) ;;
    esac
  done
  [ $saved -eq 0 ] && continue
  echo saved >"$root/saved-slots"
  echo "$model: $saved tokens of its prompt caches are saved"
done
exit 0
