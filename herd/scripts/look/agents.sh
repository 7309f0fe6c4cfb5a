# Property lists of launchd's jobs, the user's and the system's, that hold all of the texts.
# usage: agents.sh TEXT...
for directory in "$HOME/Library/LaunchAgents" /Library/LaunchDaemons; do
  cd "$directory" 2>/dev/null || continue
  for plist in *.plist; do
    for text; do
      grep -qF -e "$text" "$plist" 2>/dev/null || continue 2
    done
    printf '%s\t%s\n' "${directory##*/Launch}" "${plist%.plist}"
  done
done
exit 0
