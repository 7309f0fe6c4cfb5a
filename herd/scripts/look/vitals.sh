# How a Mac and the processes of a stack are just now. usage: vitals.sh ROOT
# None of it needs root; what a Mac does not know is left out.
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
exit 0
