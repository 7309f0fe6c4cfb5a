# Has links lead to other releases, and keeps which ones ran before, and which a rollback holds.
# usage: switch-release.sh RELEASES HELD [SOFTWARE RELEASE]...     (HELD: its lines, may be "")
cd -- "$1" || exit 1
if [ -n "$2" ]; then
  printf '%s\n' "$2" >held.new && mv -f held.new held || exit 1
else
  rm -f held
fi
shift 2
[ $# -gt 0 ] || exit 0
for software in llama.cpp llama-swap; do
  [ ! -L "$software/current" ] || echo "$software $(readlink "$software/current")"
done >before.new && mv -f before.new before || exit 1
while [ $# -ge 2 ]; do
  # BSD's ln -sf removes a link before it makes another; a rename does not.
  rm -f "$1/current.new"
  ln -s "$2" "$1/current.new" && mv -hf "$1/current.new" "$1/current" || exit 1
  shift 2
done
