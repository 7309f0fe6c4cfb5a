# What Homebrew has. usage: packages.sh HOMEBREW_PREFIX
PATH="$1/bin:$1/sbin:$PATH"
export PATH HOMEBREW_NO_AUTO_UPDATE=1 HOMEBREW_NO_ENV_HINTS=1
[ -x "$1/bin/brew" ] || exit 0
brew --version
echo --- formulae
brew list --versions
echo --- trust
# Homebrew 6 and later; older ones trust every tap.
brew trust --json=v1 2>/dev/null
exit 0
