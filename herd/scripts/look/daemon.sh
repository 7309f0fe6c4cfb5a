# How a daemon was started last, as it noted itself, and whether launchd loads its property list.
# usage: daemon.sh PLIST STARTED
xattr -p com.apple.quarantine "$1" >/dev/null 2>&1 && echo quarantined
echo started
cat "$2" 2>/dev/null
exit 0
