# The process of a job, if it has one. usage: job-pid.sh     (its text takes the place of a line
# `. job-pid.sh`; then `job_pid TARGET`)
. user-systemd.sh
job_pid() {
  case $1 in
    systemd/*) systemctl --user show -p MainPID --value "${1#systemd/}" 2>/dev/null | grep -v '^0$' ;;
    *) launchctl print "$1" 2>/dev/null | sed -n 's/^	pid = //p' ;;
  esac
}
