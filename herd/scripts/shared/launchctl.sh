# Changes a domain of launchd, which for the system's needs root.
# usage: launchctl.sh     (its text takes the place of a line `. launchctl.sh`; the script says which
# `domain` it is about, then `change VERB ARGUMENT...`)
. as-root.sh
change() {
  case $domain in
    system | system/*) as_root /bin/launchctl "$@" ;;
    *) launchctl "$@" ;;
  esac
}
# What no retry mends: nobody has let this user be root.
refused() { case $1 in *'Only root may run'*) printf '%s\n' "$1" >&2 ;; *) return 1 ;; esac; }
