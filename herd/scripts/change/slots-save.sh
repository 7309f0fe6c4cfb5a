# Has each llama-server that runs save what its slots have read, before it ends.
# usage: slots-save.sh SWAP_PORT SWAP_KEY SECONDS MOST_KB [MODEL DIRECTORY MARK]...
# A slot that works is left alone, and so is a directory that is not there. Files are for their owner
# only (llama-server's umask); all together take at most so much, and half of what is free: what is
# more goes again, as does what was there before.
# Prints a line for each model.
swap=http://127.0.0.1:$1 key=$2 limit=$3 left=$4
shift 4
get() {
  printf 'header = "Authorization: Bearer %s"\n' "$(cat "$key" 2>/dev/null)" |
    curl -q --noproxy '*' -s --max-time "$limit" --config - "$@"
}
running=$(get "$swap/running" | sed 's/},{"model"/}\
{"model"/g')
(
  while [ $# -ge 3 ]; do
    rm -f "$2"/herd-*.slot
    shift 3
  done
)
while [ $# -ge 3 ]; do
  model=$1 directory=$2 mark=$3
  shift 3
  [ -d "$directory" ] || continue
  url=$(printf '%s\n' "$running" | grep -F "\"model\":\"$model\"," | grep -F '"state":"ready"' |
    grep -o '"proxy":"http://127\.0\.0\.1:[0-9]*"' | cut -d '"' -f 4)
  [ -n "$url" ] || continue
  saved=0
  # A slot that is at work answers only once it is not.
  for slot in $(get "$url/slots" | grep -o '"id":[0-9]*,"n_ctx":[0-9]*,"speculative":[a-z]*,"is_processing":false' |
    sed 's/"id":\([0-9]*\).*/\1/'); do
    said=$(get -X POST -H 'Content-Type: application/json' --data-raw "{\"filename\":\"herd-$mark-$slot.slot\"}" "$url/slots/$slot?action=save")
    file=$directory/herd-$mark-$slot.slot
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
  [ $saved -eq 0 ] || echo "$model: $saved tokens of its prompt caches are saved"
done
exit 0
