# Runs a Homebrew command as a deploy wants it. usage: brew.sh HOMEBREW_PREFIX ARGUMENT...
# Homebrew is not on the PATH of an SSH command; what it runs itself is.
prefix=$1
shift
PATH="$prefix/bin:$prefix/sbin:$PATH"
export PATH HOMEBREW_NO_INSTALL_UPGRADE=1 HOMEBREW_NO_ANALYTICS=1 HOMEBREW_NO_ENV_HINTS=1 \
  HOMEBREW_NO_ASK=1 HOMEBREW_NO_INSTALL_CLEANUP=1
exec "$prefix/bin/brew" "$@" </dev/null
