# Which files print something that the user's shell, or sshd, reads before each command.
# usage: startup-files.sh
# Each is read by itself, as it is for every command anyway.
# An empty line is something, too.
says() { [ -f "$1" ] && shift && [ "$("$@" </dev/null 2>/dev/null; echo .)" != . ]; }
# What one prints itself may end without a newline, right before this.
found() { printf '\nprints\t%s\n' "$1"; }
shell=$SHELL
[ -x "$shell" ] || shell=/bin/sh
for file in "$HOME/.ssh/rc" /etc/ssh/sshrc; do
  says "$file" /bin/sh "$file" && found "$file"
done
case $SHELL in
  *zsh)
    # /etc/zshenv is read even with -f.
    if says /etc/zshenv "$shell" -f -c :; then
      found /etc/zshenv
    else
      # What it sets of ZDOTDIR is for the files that come behind it.
      for file in "$HOME/.zshenv" ${ZDOTDIR:+"$ZDOTDIR/.zshenv"}; do
        says "$file" "$shell" -f -c '. "$0"' "$file" && found "$file"
      done
    fi
    ;;
  *fish)
    # Homebrew's has its own /etc.
    for at in /etc "${shell%/bin/*}/etc" "${XDG_CONFIG_HOME:-$HOME/.config}"; do
      for file in "$at"/fish/conf.d/*.fish "$at/fish/config.fish"; do
        says "$file" "$shell" --no-config -c 'source $argv[1]' "$file" && found "$file"
      done
    done
    ;;
  *xonsh)
    # Some versions read them before a command, some only for a terminal.
    at=${XDG_CONFIG_HOME:-$HOME/.config}/xonsh
    for file in /etc/xonsh/xonshrc "$at/rc.xsh" "$at"/rc.d/*.xsh "$HOME/.xonshrc"; do
      says "$file" "$shell" --no-rc "$file" && found "$file"
    done
    ;;
  */nu | */elvish) ;; # these read none before a command
  *csh)
    file=$HOME/.cshrc
    [ ! -f "$HOME/.tcshrc" ] || file=$HOME/.tcshrc
    for file in /etc/csh.cshrc "$file"; do
      says "$file" "$shell" -f -c "source '$file'" && found "$file"
    done
    ;;
  *)
    # bash reads it for a command of sshd.
    file=$HOME/.bashrc
    says "$file" "$shell" -c '. "$0"' "$file" && found "$file"
    ;;
esac
exit 0
