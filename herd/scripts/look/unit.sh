# What the user's systemd has of a service, and of one variable of its process's environment what it was
# started with. usage: unit.sh UNIT VARIABLE
. user-systemd.sh
said=$(systemctl --user show "$1" -p LoadState -p SubState -p MainPID -p NRestarts -p FragmentPath \
  -p UnitFileState -p NeedDaemonReload -p ExecMainCode -p ExecMainStatus -p Environment 2>/dev/null)
printf '%s\n' "$said"
pid=$(printf '%s\n' "$said" | sed -n 's/^MainPID=//p')
# A process may be of another definition than the one that was read since.
[ "${pid:-0}" = 0 ] || tr '\0' '\n' <"/proc/$pid/environ" 2>/dev/null | grep "^$2=" | sed 's/^/process /'
exit 0
