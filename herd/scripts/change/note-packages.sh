# Notes which formulae a deploy installs, so that an uninstall knows its own: a name a line.
# usage: note-packages.sh FILE NAME...
mkdir -p "${1%/*}" || exit 1
umask 077
file=$1
shift
for name; do
  grep -qxF -e "$name" "$file" 2>/dev/null || printf '%s\n' "$name" >>"$file" || exit 1
done
