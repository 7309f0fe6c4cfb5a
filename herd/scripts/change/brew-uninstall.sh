# Uninstalls formulae that a deploy installed; one that somebody else's needs by now stays, and is
# named. Last the note of them goes. usage: brew-uninstall.sh HOMEBREW_PREFIX FILE NAME...
# A name of a tap is full: its trust and its tap go, too.
prefix=$1 file=$2
shift 2
PATH="$prefix/bin:$prefix/sbin:$PATH"
export PATH HOMEBREW_NO_AUTO_UPDATE=1 HOMEBREW_NO_ENV_HINTS=1 HOMEBREW_NO_ANALYTICS=1
said=$(mktemp -t herd-brew.XXXXXX)
trap 'rm -f "$said"' EXIT
# What was needed by another one of them goes in the next round.
while [ $# -gt 0 ]; do
  left=$# number=$#
  while [ $number -gt 0 ]; do
    name=$1 number=$((number - 1))
    shift
    : >"$said"
    if [ ! -d "$prefix/Cellar/${name##*/}" ] || brew uninstall --formula "$name" </dev/null >"$said" 2>&1; then
      cat "$said"
      case $name in
        */*)
          brew untrust --formula "$name" </dev/null >/dev/null 2>&1
          brew untap "${name%/*}" </dev/null 2>/dev/null
          ;;
      esac
    elif grep -q 'required by' "$said"; then
      set -- "$@" "$name"
    else
      cat "$said" >&2
      exit 1
    fi
  done
  [ $# -lt $left ] || break
done
for name; do echo "$name stays: another formula needs it"; done
rm -f "$file"
