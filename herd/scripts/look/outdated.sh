# Which formulae have a newer version; fails where Homebrew cannot ask.
# usage: outdated.sh HOMEBREW_PREFIX SECONDS NAME...
prefix=$1 patience=$2
shift 2
[ -x "$prefix/bin/brew" ] || exit 0
PATH="$prefix/bin:$prefix/sbin:$PATH"
export PATH HOMEBREW_NO_AUTO_UPDATE=1 HOMEBREW_NO_ENV_HINTS=1
began=$(date +%s)
until said=$(brew update </dev/null 2>&1); do
  case $said in
    # Another one has its lock.
    *'Please wait for it to finish'*) [ $(($(date +%s) - began)) -ge "$patience" ] || { sleep 3; continue; } ;;
  esac
  printf 'Homebrew could not ask what is new. It says:\n%s\n' "$(printf '%s\n' "$said" | tail -n 5)" >&2
  exit 1
done
# It exits 1 when it names something.
brew outdated --json=v2 --formula "$@"
exit 0
