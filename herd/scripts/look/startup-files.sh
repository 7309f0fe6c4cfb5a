# Which files print something that the user's shell, or sshd, reads before each command.
# usage: startup-files.sh
# Each is read by itself, as it is for every command anyway.
says() { [ -f "$1" ] && shift && [ -n "$("$@" </dev/null 2>/dev/null)" ]; }
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
      file=${ZDOTDIR:-$HOME}/.zshenv
      says "$file" "$shell" -f -c '. "$0"' "$file" && found "$file"
    fi
    ;;
  *fish)
    for file in /etc/fish/config.fish "$HOME"/.config/fish/conf.d/*.fish "$HOME/.config/fish/config.fish"; do
      says "$file" "$shell" --no-config -c 'source $argv[1]' "$file" && found "$file"
    done
    ;;
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
