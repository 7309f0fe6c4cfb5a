# What is in a stack's directory, and in the proxy's below it: f or d, and the path, links not
# followed. usage: stack-files.sh ROOT
cd -- "$1" 2>/dev/null || exit 0
echo 'd .'
for entry in * .[!.]* ..?* proxy/* proxy/.[!.]*; do
  if [ -d "$entry" ] && [ ! -L "$entry" ]; then
    printf 'd %s\n' "$entry"
  elif [ -e "$entry" ] || [ -L "$entry" ]; then
    printf 'f %s\n' "$entry"
  fi
done
