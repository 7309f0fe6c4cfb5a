# What the memory of a Mac is used for, as herd/core/mac/vitals.py reads it.
# usage: memory.sh     (its text takes the place of a line `. memory.sh`)
# None of it needs root; what a Mac does not know is left out.
say() { [ -z "$2" ] || printf '%s\t%s\n' "$1" "$2"; }
say pressure "$(sysctl -n kern.memorystatus_vm_pressure_level 2>/dev/null)"
say swap "$(sysctl -n vm.swapusage 2>/dev/null)"
vm_stat 2>/dev/null | sed 's/^/vm	/'
say gpu "$(ioreg -r -d 1 -w 0 -c AGXAccelerator 2>/dev/null |
  sed -n 's/.*"Device Utilization %"=\([0-9]*\).*/\1/p' | head -n 1)"
