# What kind of Mac this is, or of Linux machine. usage: mac.sh ROOT HOMEBREW_PREFIX
root=$1 prefix=$2
. gnu-or-bsd.sh
say() { printf '%s\t%s\n' "$1" "$2"; }
uid=$(id -u)
case $root in '~'/*) root=$HOME/${root#'~/'} ;; esac
# Where one is pinned, it runs in place of Homebrew's.
pinned=$root/releases/llama.cpp/current/llama-server
say uid "$uid"
say user "$(id -un)"
say home "$HOME"
say system "$(uname -s)"
say arch "$(uname -m)"
say macos "$(sw_vers -productVersion 2>/dev/null)"
say chip "$(sysctl -n machdep.cpu.brand_string 2>/dev/null)"
say memory "$(bytes_of_memory)"
# What the GPU may wire: as set, else as Metal tells llama-server; or why that does not run.
say wired "$(sysctl -n iogpu.wired_limit_mb 2>/dev/null)"
server=$pinned
[ -x "$server" ] || server=$prefix/bin/llama-server
if [ -x "$server" ]; then
  said=$("$server" --list-devices </dev/null 2>&1)
  say devices $?
  printf '%s\n' "$said" | tail -n 40 | while IFS= read -r line; do say device "$line"; done
fi
# Minutes until it sleeps, 0 for never.
say sleep "$(pmset -g 2>/dev/null | awk '$1 == "SleepDisabled" && $2 == 1 { off = 1 } $1 == "sleep" { sleep = $2 } END { print off ? 0 : sleep }')"
# /usr/bin/git and python3 are shims that open a dialog without the tools: ask xcode-select.
xcode-select -p >/dev/null 2>&1 && say tools yes
. user-systemd.sh
if launchctl print "gui/$uid" >/dev/null 2>&1 || systemctl --user show-environment >/dev/null 2>&1; then
  say console yes
fi
if [ -x "$prefix/bin/brew" ]; then
  say brew yes
elif sudo -n true 2>/dev/null; then
  say sudo yes
fi
# Where a path leads by its links, whether it is there or not; and the nearest directory that is.
leads() {
  at=$1 rest='' hops=0
  while :; do
    if [ -L "$at" ] && [ ! -d "$at" ] && [ $hops -lt 40 ]; then
      hops=$((hops + 1)) to=$(readlink "$at")
      case $to in /*) at=$to ;; *) at=${at%/*}/$to ;; esac
    elif [ -d "$at" ] || [ -z "$at" ]; then
      at=$(cd -P -- "${at:-/}" && pwd -P)
      return
    else
      rest=/${at##*/}$rest at=${at%/*}
    fi
  done
}
# What is linked into the models' directory counts, too.
for below in "$root" "$root"/models "$root"/models/*; do
  [ "$below" = "$root" ] || [ -L "$below" ] || continue
  leads "$below"
  name=${below#"$root"}
  say place "${name:-stack_root}"
  say path "${at%/}$rest"
  say on "$(df -P -k "$at" 2>/dev/null | tail -n 1)"
done
mount 2>/dev/null | while IFS= read -r line; do say mount "$line"; done
# The nearest directory that exists tells where the stack will be, and whether it can be.
while [ ! -d "$root" ]; do root=$(dirname "$root"); done
[ -w "$root" ] && say writable yes
# The directories of the stack and all above them, by no link: whose they are, and who may write.
set --
for below in "$root" "$root"/proxy "$root"/models "$root"/models/*; do
  at=$(cd -P -- "$below" 2>/dev/null && pwd -P) || continue
  while [ -n "$at" ]; do
    set -- "$@" "$at"
    at=${at%/*}
  done
done
owners / "$@" | while IFS= read -r line; do say folder "$line"; done
say disk "$(df -P -k "$root" | tail -n 1)"
