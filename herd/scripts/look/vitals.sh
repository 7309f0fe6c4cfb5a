# How a Mac and the processes of a stack are just now. usage: vitals.sh ROOT
# None of it needs root; what a Mac does not know is left out.
LC_ALL=C
root=$1/
export LC_ALL root
say() { [ -z "$2" ] || printf '%s\t%s\n' "$1" "$2"; }
say now "$(date +%s)"
say boot "$(sysctl -n kern.boottime 2>/dev/null)"
say pressure "$(sysctl -n kern.memorystatus_vm_pressure_level 2>/dev/null)"
say swap "$(sysctl -n vm.swapusage 2>/dev/null)"
vm_stat 2>/dev/null | sed 's/^/vm	/'
# By a variable of the environment: awk would read a backslash in a value of its own.
ps -axww -o pid=,etime=,args= 2>/dev/null |
  awk 'index($0, ENVIRON["root"]) { printf "process\t%s %s\n", $1, $2 }'
pmset -g therm 2>/dev/null | sed 's/^/therm	/'
say gpu "$(ioreg -r -d 1 -w 0 -c AGXAccelerator 2>/dev/null |
  sed -n 's/.*"Device Utilization %"=\([0-9]*\).*/\1/p' | head -n 1)"
exit 0
