# What settings of the Mac itself are. usage: mac-settings.sh [KIND [ARGUMENT]]...
# KIND is power, updates, wired, firewall PYTHON_KEG VERSION, networks ANCHOR or newsyslog ROOT. What each tool says
# comes below a line with its name and exit code, behind a tab.
. proxy-program.sh
tab=$(printf '\t')
ask() {
  name=$1
  shift
  said=$("$@" 2>&1)
  printf '%s\t%s\n' "$name" $?
  printf '%s\n' "$said" | while IFS= read -r line; do printf '%s%s\n' "$tab" "$line"; done
}
firewall=/usr/libexec/ApplicationFirewall/socketfilterfw
while [ $# -gt 0 ]; do
  case $1 in
    power)
      ask live pmset -g
      ask custom pmset -g custom
      ;;
    updates)
      ask own defaults read /Library/Preferences/com.apple.SoftwareUpdate
      ask managed defaults read '/Library/Managed Preferences/com.apple.SoftwareUpdate'
      ;;
    wired) ask wired sysctl -n iogpu.wired_limit_mb ;;
    firewall)
      ask program printf '%s\n' "$(proxy_program "$2" "$3")"
      ask state sudo -n $firewall --getglobalstate
      ask apps sudo -n $firewall --listapps
      shift 2
      ;;
    newsyslog)
      ask newsyslog grep -lsF -e "$2/" /etc/newsyslog.conf /etc/newsyslog.d/*.conf
      shift
      ;;
    networks)
      ask info sudo -n /sbin/pfctl -s info
      ask main sudo -n /sbin/pfctl -sr
      ask ours sudo -n /sbin/pfctl -a "$2" -sr
      shift
      ;;
  esac
  shift
done
