# Labels of the property lists of the user's jobs that hold all of the texts. usage: agents.sh TEXT...
cd "$HOME/Library/LaunchAgents" 2>/dev/null || exit 0
for plist in *.plist; do
  for text; do
    grep -qF -e "$text" "$plist" 2>/dev/null || continue 2
  done
  echo "${plist%.plist}"
done
