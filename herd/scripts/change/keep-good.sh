# Keeps what defines the stack, once in a run, where it serves: what follows may not come up.
# usage: keep-good.sh ROOT RUN SWAP_URL PROXY_URL FILE...
root=$1 run=$2
[ "$(cat "$root/last-good/run" 2>/dev/null)" != "$run" ] || exit 0
for url in "$3" "$4"; do
  # 7: nobody is there. A proxy with a certificate answers plain HTTP by an error, which is one.
  curl --noproxy '*' -k -s -o /dev/null --max-time 5 "$url/health"
  [ $? -ne 7 ] || exit 0
done
shift 4
umask 077
cd -- "$root" || exit 1
rm -rf last-good.new && mkdir last-good.new || exit 1
for file in "$@" "$root/releases/before" "$root/releases/held"; do
  [ ! -f "$file" ] || cp -p "$file" last-good.new/ || exit 1
done
for link in releases/*/current; do
  [ ! -L "$link" ] || readlink "$link" >"last-good.new/$(basename "${link%/current}").link" || exit 1
done
echo "$run" >last-good.new/run
rm -rf last-good.old
[ ! -d last-good ] || mv last-good last-good.old || exit 1
mv last-good.new last-good && rm -rf last-good.old
