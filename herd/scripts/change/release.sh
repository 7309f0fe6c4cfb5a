# Fetches a release, unpacks it and tries it; it appears whole or not at all.
# usage: release.sh DIRECTORY URL SHA256 PROGRAM
directory=$1 url=$2 sum=$3 program=$4
[ ! -x "$directory/$program" ] || exit 0
trial=$directory.tmp archive=$directory.part
mkdir -p "${directory%/*}" && rm -rf "$directory" "$trial" || exit 1
is_whole() { [ -f "$archive" ] && [ "$(shasum -a 256 <"$archive" | cut -c 1-64)" = "$sum" ]; }
fetch() { curl -fsSL --proto '=http,https' --proto-redir '=http,https' --connect-timeout 20 --speed-limit 1000 --speed-time 60 --retry 3 -o "$archive" "$@" "$url"; }
if ! is_whole; then
  echo "Fetching ${url##*/}"
  # What is there of it may be of another archive, or the server cannot send a part: then anew.
  [ ! -s "$archive" ] || fetch -C - 2>/dev/null
  is_whole || { rm -f "$archive" && fetch; } || { echo "$url cannot be fetched from this Mac." >&2; exit 1; }
  is_whole || {
    echo "$url has SHA-256 $(shasum -a 256 <"$archive" | cut -c 1-64), and $sum is pinned: it is not unpacked." >&2
    rm -f "$archive"
    exit 1
  }
fi
mkdir "$trial" && (cd "$trial" && tar -xzf -) <"$archive" || { echo "$url is no archive that tar can unpack." >&2; exit 1; }
# llama.cpp's has one directory with all of it, llama-swap's has none.
if [ ! -f "$trial/$program" ]; then
  set -- "$trial"/*/"$program"
  [ $# -eq 1 ] && [ -f "$1" ] || { echo "$url has no $program." >&2; rm -rf "$trial"; exit 1; }
  inner=${1%/*}
  mv "$inner" "$trial.tmp" && rm -rf "$trial" && mv "$trial.tmp" "$trial" || exit 1
fi
# It may be of another system, or built for a newer macOS than this one.
said=$trial/.said
"$trial/$program" --version </dev/null >"$said" 2>&1 &
child=$! polls=0
while kill -0 $child 2>/dev/null; do
  polls=$((polls + 1))
  [ $polls -lt 300 ] || kill -9 $child
  sleep 0.1
done
wait $child
code=$?
[ $code -eq 0 ] || {
  echo "$program of ${url##*/} does not run on this Mac (macOS $(sw_vers -productVersion), $(uname -m)), exit code $code:" >&2
  tail -n 5 "$said" >&2
  grep -q 'newer than running OS' "$said" && echo "It is built for a newer macOS: pin another release, or upgrade macOS." >&2
  rm -rf "$trial"
  exit 1
}
head -n 1 "$said"
rm -f "$said"
mv "$trial" "$directory" && rm -f "$archive"
