# Changes one setting of the Mac as root, once it is noted what it was before anybody here changed
# it. What the tool says of it is shown where it fails; whether it took is looked at afterwards.
# usage: mac-set.sh RECORD NAME VALUE_NOW COMMAND...
. as-root.sh
record=$1 name=$2 now=$3
shift 3
mkdir -p "${record%/*}" || exit 1
cut -f 1 "$record" 2>/dev/null | grep -qxF -e "$name" || printf '%s\t%s\n' "$name" "$now" >>"$record" || exit 1
as_root "$@"
