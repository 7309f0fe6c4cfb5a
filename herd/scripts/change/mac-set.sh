# Changes one setting of the Mac as root, once it is noted what it was before anybody here changed
# it. What the tool says of it is shown where it fails; whether it took is looked at afterwards.
# usage: mac-set.sh RECORD NAME VALUE_NOW COMMAND...
. note-before.sh
. as-root.sh
note "$1" "$2" "$3" || exit 1
shift 3
as_root "$@"
