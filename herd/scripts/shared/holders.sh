# Whose processes listen on a port, and where a process was started; without root, only one's own are
# seen. usage: holders.sh     (its text takes the place of a line `. holders.sh`; then `holders PORT`,
# `started_in PID`)
if command -v lsof >/dev/null 2>&1; then
  holders() { lsof -nP -iTCP:"$1" -sTCP:LISTEN 2>/dev/null | awk 'NR > 1 { print $2 }' | sort -u; }
  started_in() { lsof -a -p "$1" -d cwd -Fn 2>/dev/null | sed -n 's/^n//p'; }
else
  # Linux, where lsof is a package of its own.
  holders() { ss -Hltnp "sport = :$1" 2>/dev/null | grep -o 'pid=[0-9]*' | cut -d = -f 2 | sort -u; }
  started_in() { readlink "/proc/$1/cwd" 2>/dev/null; }
fi
