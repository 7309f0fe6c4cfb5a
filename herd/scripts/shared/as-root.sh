# Runs a command as root, without a password; where sudo lets nobody do so, it says who can change that.
# usage: as-root.sh     (its text takes the place of a line `. as-root.sh`; then `as_root /PROGRAM ...`)
as_root() {
  told=$(sudo -n "$@" 2>&1) && { [ -z "$told" ] || printf '%s\n' "$told"; return 0; }
  status=$?
  case $told in
    *'must have a tty'*)
      printf 'Only root may run `%.120s`, and sudo wants a terminal for that, which no deploy has: ' "$*" >&2
      echo "put \`Defaults:$(id -un) !requiretty\` into the file of \`make sudoers\`. sudo says:" >&2
      ;;
    *'password is required'* | *'terminal is required'* | *'is not allowed to'* | *'not in the sudoers'* | *'may not run sudo'*)
      printf 'Only root may run `%.120s`, and sudo lets this user do so by a password only. ' "$*" >&2
      # On one line: one that is sudo's alone has pyinfra ask whoever is there for a password.
      echo "\`make sudoers\` prints the rule that is to be put in place once. sudo says: $(printf %s "$told" | tr '\n' ' ')" >&2
      return $status
      ;;
  esac
  printf '%s\n' "$told" >&2
  return $status
}
