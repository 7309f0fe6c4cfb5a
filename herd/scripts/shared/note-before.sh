# Notes what a setting of the Mac is before anybody here changes it, once. usage: note-before.sh
# (its text takes the place of a line `. note-before.sh`; then `note RECORD NAME VALUE`)
note() {
  mkdir -p "${1%/*}" || return 1
  cut -f 1 "$1" 2>/dev/null | grep -qxF -e "$2" || printf '%s\t%s\n' "$2" "$3" >>"$1"
}
