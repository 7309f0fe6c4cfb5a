# Ends a service of the user's systemd; it comes again with the machine. Its own time to end is the
# limit. usage: unit-stop.sh UNIT
. user-systemd.sh
said=$(systemctl --user stop "$1" 2>&1) && exit 0
case $said in *'not loaded'*) exit 0 ;; esac
printf '%s\n' "$said" >&2
exit 1
