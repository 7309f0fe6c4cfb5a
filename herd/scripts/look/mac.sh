# What kind of Mac this is. usage: mac.sh ROOT HOMEBREW_PREFIX
root=$1 prefix=$2
say() { printf '%s\t%s\n' "$1" "$2"; }
uid=$(id -u)
say uid "$uid"
say user "$(id -un)"
say home "$HOME"
say system "$(uname -s)"
say arch "$(uname -m)"
say macos "$(sw_vers -productVersion 2>/dev/null)"
say chip "$(sysctl -n machdep.cpu.brand_string 2>/dev/null)"
say memory "$(sysctl -n hw.memsize 2>/dev/null)"
# What the GPU may wire: as set, else as Metal tells llama-server.
say wired "$(sysctl -n iogpu.wired_limit_mb 2>/dev/null)"
if [ -x "$prefix/bin/llama-server" ]; then
  "$prefix/bin/llama-server" --list-devices </dev/null 2>/dev/null |
    while IFS= read -r line; do say device "$line"; done
fi
# /usr/bin/git and python3 are shims that open a dialog without the tools: ask xcode-select.
xcode-select -p >/dev/null 2>&1 && say tools yes
launchctl print "gui/$uid" >/dev/null 2>&1 && say console yes
if [ -x "$prefix/bin/brew" ]; then
  say brew yes
elif sudo -n true 2>/dev/null; then
  say sudo yes
fi
# The nearest directory that exists tells where the stack will be, and whether it can be.
case $root in '~'/*) root=$HOME/${root#'~/'} ;; esac
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
stat -f '%Mp%Lp %u %g %Su %N' / "$@" | while IFS= read -r line; do say folder "$line"; done
say disk "$(df -P -k "$root" | tail -n 1)"
