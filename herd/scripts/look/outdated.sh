# Which formulae have a newer version. usage: outdated.sh HOMEBREW_PREFIX NAME...
prefix=$1
shift
[ -x "$prefix/bin/brew" ] || exit 0
PATH="$prefix/bin:$prefix/sbin:$PATH"
export PATH HOMEBREW_NO_AUTO_UPDATE=1 HOMEBREW_NO_ENV_HINTS=1
brew update >/dev/null 2>&1
# It exits 1 when it names something.
brew outdated --json=v2 --formula "$@"
exit 0
