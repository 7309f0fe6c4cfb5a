# Has the user's systemd read a service anew, and start it with the machine where it says so.
# usage: unit-load.sh UNIT FILE
. user-systemd.sh
[ -f "$2" ] || { echo "$2 is not there: deploy first" >&2; exit 1; }
systemctl --user daemon-reload || exit 1
verb=disable
! grep -q '^WantedBy=' "$2" || verb=enable
said=$(systemctl --user $verb "$1" 2>&1) || { printf '%s\n' "$said" >&2; exit 1; }
