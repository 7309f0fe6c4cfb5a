# How a Mac and the processes of a stack are just now. usage: vitals.sh ROOT HOMEBREW_PREFIX
# None of it needs root, which powermetrics would; what a Mac does not know is left out.
LC_ALL=C
root=$1/
export LC_ALL root
. memory.sh
say now "$(date +%s)"
say boot "$(sysctl -n kern.boottime 2>/dev/null)"
# By a variable of the environment: awk would read a backslash in a value of its own.
ps -axww -o pid=,etime=,args= 2>/dev/null |
  awk 'index($0, ENVIRON["root"]) { printf "process\t%s %s\n", $1, $2 }'
pmset -g therm 2>/dev/null | sed 's/^/therm	/'
pmset -g batt 2>/dev/null | sed 's/^/batt	/'
# Degrees and watts are Apple's to read, or of one who knows how: where its owner has it, that is asked.
[ ! -x "$2/bin/macmon" ] || say macmon "$("$2/bin/macmon" pipe -s 1 </dev/null 2>/dev/null | head -n 1)"
exit 0
