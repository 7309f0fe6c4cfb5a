# What is at each path. usage: state.sh PATH...
# Prints kind, mode and SHA-256 (files only), in the order of the arguments.
. gnu-or-bsd.sh
for path; do
  if [ -L "$path" ]; then
    echo link
  elif [ -d "$path" ]; then
    echo directory "$(mode "$path")"
  elif [ -f "$path" ]; then
    echo file "$(mode "$path")" "$(checksum <"$path")"
  else
    echo absent
  fi
done
