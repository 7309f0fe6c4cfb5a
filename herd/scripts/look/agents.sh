# Property lists of launchd's jobs, the user's and the system's, that hold all of the texts; and units
# of the user's systemd.
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
cd "$HOME/.config/systemd/user" 2>/dev/null || exit 0
for unit in *.service; do
  for text; do
    grep -qF -e "$text" "$unit" 2>/dev/null || continue 2
  done
  printf 'Units\t%s\n' "${unit%.service}"
done
exit 0
