# Notes which formulae came along with those that a deploy installed: what the Cellar has now and
# had not before. usage: note-dependencies.sh FILE CELLAR BEFORE...
file=$1 cellar=$2
shift 2
for rack in "$cellar"/*; do
  [ -d "$rack" ] || continue
  name=${rack##*/}
  for before; do [ "$before" != "$name" ] || continue 2; done
  # One of a tap is noted by its full name.
  grep -qxF -e "$name" "$file" || grep -q "/$name\$" "$file" || printf '%s\n' "$name" >>"$file" || exit 1
done
