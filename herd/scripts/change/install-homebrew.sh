# Homebrew's own installer, unattended. usage: install-homebrew.sh HOMEBREW_PREFIX URL
set -e
installer=$(mktemp -t homebrew.XXXXXX)
trap 'rm -f "$installer"' EXIT
curl -fsSL -o "$installer" "$2"
NONINTERACTIVE=1 /bin/bash "$installer" </dev/null
[ -x "$1/bin/brew" ] || { echo "The installer left no $1/bin/brew." >&2; exit 1; }
