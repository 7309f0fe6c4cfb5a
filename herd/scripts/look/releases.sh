# Which pinned releases are there, newest first, which run, and which did. usage: releases.sh DIRECTORY LAST_GOOD
cd -- "$1" 2>/dev/null || exit 0
for software in llama.cpp llama-swap; do
  # By age, which no pattern is; directories only, so that none is followed.
  ls -t -- "$software" 2>/dev/null | while read -r release; do
    path=$software/$release
    case $release in
      current) ;;
      *.tmp | *.part) printf 'junk\t%s\n' "$path" ;;
      *)
        [ -x "$path/llama-server" ] || [ -x "$path/llama-swap" ] || { printf 'junk\t%s\n' "$path"; continue; }
        printf 'whole\t%s\t%s\n' "$software" "$release"
        ;;
    esac
  done
  [ ! -L "$software/current" ] || printf 'current\t%s\t%s\n' "$software" "$(readlink "$software/current")"
  [ ! -f "$2/$software.link" ] || printf 'kept\t%s\t%s\n' "$software" "$(cat "$2/$software.link")"
done
# SOFTWARE RELEASE, and SOFTWARE RELEASE PINNED.
[ ! -f before ] || sed 's/^/before	/; s/ /	/g' before
[ ! -f held ] || sed 's/^/held	/; s/ /	/g' held
exit 0
