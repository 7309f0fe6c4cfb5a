# Forgets a service of the user's systemd that is ended. usage: unit-remove.sh UNIT FILE
. user-systemd.sh
systemctl --user disable "$1" >/dev/null 2>&1
rm -f "$2" || exit 1
systemctl --user daemon-reload
systemctl --user reset-failed "$1" >/dev/null 2>&1
exit 0
