# What is at each path. usage: state.sh PATH...
# Prints kind, mode and SHA-256 (files only), in the order of the arguments.
for path; do
  if [ -L "$path" ]; then
    echo link
  elif [ -d "$path" ]; then
    echo directory "$(stat -f %Lp "$path")"
  elif [ -f "$path" ]; then
    echo file "$(stat -f %Lp "$path")" "$(shasum -a 256 <"$path")"
  else
    echo absent
  fi
done
