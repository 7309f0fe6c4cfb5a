# Runs apt-get as a deploy wants it; another one's lock is waited for. usage: apt.sh SECONDS VERB PACKAGE...
. as-root.sh
seconds=$1 verb=$2
shift 2
root() { if [ "$(id -u)" = 0 ]; then "$@"; else as_root "$@"; fi; }
[ "$verb" = remove ] || root apt-get --quiet --quiet update || exit 1
root env DEBIAN_FRONTEND=noninteractive apt-get --quiet --yes --no-install-recommends \
  -o "DPkg::Lock::Timeout=$seconds" "$verb" "$@"
