# What an expert would look at on a Mac that serves badly.
# usage: symptoms.sh ROOT PROXY_URL PYTHON_KEG VERSION RELEASE PLIST...
# The proxy's Python is that of the keg, its code the release. None of it needs root; what a Mac does
# not tell is left out.
LC_ALL=C
export LC_ALL
root=$1 proxy=$2 keg=$3 version=$4 release=$5
shift 5
. gnu-or-bsd.sh
. proxy-program.sh
say() { [ -z "$2" ] || printf '%s\t%s\n' "$1" "$2"; }
lines() { while IFS= read -r line; do say "$1" "$line"; done; }
say clock "$(date +%s)"
say filevault "$(fdesetup status 2>/dev/null | head -n 1)"
say autologin "$(defaults read /Library/Preferences/com.apple.loginwindow autoLoginUser 2>/dev/null)"
PATH=$PATH:/usr/libexec/ApplicationFirewall
say firewall "$(socketfilterfw --getglobalstate 2>/dev/null)"
socketfilterfw --listapps 2>/dev/null | lines app
say program "$(proxy_program "$keg" "$version")"
say lowpower "$(pmset -g 2>/dev/null | awk '$1 == "lowpowermode" || $1 == "powermode" { print $1, $2; exit }')"
say smart "$(diskutil info disk0 2>/dev/null | sed -n 's/^ *SMART Status: *//p')"
# Without a key it says only that, and only where a gateway has it look.
curl -q --noproxy '*' -s -k --max-time 5 "$proxy/readyz" </dev/null 2>/dev/null | grep -q 'a model gives no token' && say stuck yes
updates=/Library/Preferences/com.apple.SoftwareUpdate
say installs "$(defaults read $updates AutomaticallyInstallMacOSUpdates 2>/dev/null)"
defaults read $updates RecommendedUpdates 2>/dev/null | sed -n 's/.*"Display Name" = "\{0,1\}\([^";]*\).*/\1/p' | lines update
# Of the last week. A user's own are in the first, those of daemons and of the system in the other.
for directory in "$HOME/Library/Logs/DiagnosticReports" /Library/Logs/DiagnosticReports; do
  find "$directory" -maxdepth 1 -type f -mtime -7 \( -name 'llama-server*' -o -name 'llama-swap*' \
    -o -name 'haproxy*' -o -name 'python3*' -o -name 'Python*' -o -name 'JetsamEvent*' -o -name '*.panic' \) 2>/dev/null
done | lines report
# What others could read of prompts and keys, and what is not this user's; links are not followed.
find "$root" -maxdepth 1 -type f \( -name '*.log*' -o -name '*.key' -o -name 'usage.db*' -o -name 'config.json' \) ! -perm 600 ! -perm 400 2>/dev/null | lines readable
whose "$root" -maxdepth 2 2>/dev/null |
  awk -v uid="$(id -u)" '$1 != uid { sub(/^[0-9]+ /, ""); print }' | head -n 10 | lines foreign
(cd -- "$release" 2>/dev/null && find proxy -name '*.py' -exec shasum -a 256 {} +) | lines code
# A llama-server whose llama-swap was killed lives on, and keeps its memory.
ps -axww -o pid=,ppid=,args= 2>/dev/null | root=$root/ awk '
  { of[$1] = $2; said[$1] = $0 " " }
  END {
    model = " --model " ENVIRON["root"]; swap = " --config " ENVIRON["root"] "config.yaml "
    for (pid in said)
      if (index(said[pid], model) && index(said[pid], " --port ") && !index(said[of[pid]], swap)) print pid
  }
' | lines orphan
for plist; do
  xattr -p com.apple.quarantine "$plist" >/dev/null 2>&1 && say quarantined "$plist"
done
# Why a model does not come up, in llama-swap's and llama-server's words.
tail -n 400 "$root/llama-swap.log" 2>/dev/null |
  grep -E -i 'health check timed out|timed out waiting|failed to allocate|out of memory|OutOfMemory|insufficient memory|address already in use|Operation not permitted|no backends are loaded|dyld\[' |
  tail -n 5 | cut -c 1-300 | lines log
# Answers whose first byte took half a minute or more: a model was loaded for them.
tail -n 500 "$root/proxy.log" 2>/dev/null | awk '
  $3 == "access" {
    model = first = ""
    for (i = 4; i <= NF; i++) {
      if ($i ~ /^model=/) model = substr($i, 7)
      if ($i ~ /^first=/) first = substr($i, 7)
    }
    if (model != "" && first + 0 >= 30) last[model] = first " " $1
  }
  END { for (model in last) print model, last[model] }
' | lines slow
# Macs that HAProxy, in its own session, finds no route to, and macOS's own curl does: so it looks
# where Local Network privacy keeps a program from them.
tail -n 500 "$root/gateway.log" 2>/dev/null | awk '
  match($0, /Server macs\/[^ ]+ is /) {
    name = substr($0, RSTART + 12, RLENGTH - 16)
    if ($0 ~ /is DOWN.*No route to host/) down[name] = 1; else delete down[name]
  }
  END { for (name in down) print name }
' | while IFS= read -r name; do
  address=$(awk -v name="'$name'" '$1 == "server" && $2 == name { gsub("\047", "", $3); print $3; exit }' "$root/gateway/haproxy.cfg" 2>/dev/null)
  [ -n "$address" ] || continue
  curl -q --noproxy '*' -s -o /dev/null --max-time 3 "http://$address/livez" </dev/null
  # 6, 7, 28: there is no such name, nobody, or no answer.
  case $? in 6 | 7 | 28) ;; *) say denied "$address" ;; esac
done
exit 0
