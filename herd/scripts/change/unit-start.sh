# Starts a service of the user's systemd, and waits until it has a process. usage: unit-start.sh UNIT LOG
. user-systemd.sh
said=$(systemctl --user start "$1" 2>&1) && exit 0
printf '%s\n' "$1 does not start:" "$said" >&2
tail -n 15 "$2" >&2
exit 1
