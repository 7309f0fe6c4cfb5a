# Runs a Homebrew command as a deploy wants it; while another Homebrew has its lock, it waits so many
# seconds. usage: brew.sh HOMEBREW_PREFIX SECONDS ARGUMENT...
# Homebrew is not on the PATH of an SSH command; what it runs itself is.
prefix=$1 patience=$2
shift 2
PATH="$prefix/bin:$prefix/sbin:$PATH"
export PATH HOMEBREW_NO_INSTALL_UPGRADE=1 HOMEBREW_NO_ANALYTICS=1 HOMEBREW_NO_ENV_HINTS=1 \
  HOMEBREW_NO_ASK=1 HOMEBREW_NO_INSTALL_CLEANUP=1
said=$(mktemp -t herd-brew.XXXXXX)
trap 'rm -f "$said" "$said.code"' EXIT
holder() {
  # In brackets, so that what is found is not this script.
  ps -axww -o pid=,user=,args= | grep -E '/bin/[b]rew |/Homebrew/[b]rew\.(rb|sh)' | head -n 1 | {
    read -r pid user command || { echo 'another Homebrew'; return; }
    command=${command##*/Homebrew/[b]rew.rb }
    echo "\`brew ${command##*/bin/[b]rew }\` (pid $pid, of $user)"
  }
}
# All lines as they come, which not every awk would wait for, but those about a lock, which come
# with each try.
without_locks() {
  # "A `brew install …` process has already locked …", "Another `brew update` process is already
  # running", each followed by "Please wait for it to finish".
  while IFS= read -r line || [ -n "$line" ]; do
    case ${line#Error: } in
      'A '*brew*' process has already locked'* | 'Another '*brew*' process is already '* | \
        'Please wait for it to finish'*) ;;
      *) printf '%s\n' "$line" ;;
    esac
  done
}
began=$(date +%s) last=
while :; do
  # Its words are shown as they come; without anybody who reads them it ends.
  { "$prefix/bin/brew" "$@" </dev/null 2>&1; echo $? >"$said.code"; } | tee "$said" | without_locks
  code=$(cat "$said.code")
  [ "$code" -ne 0 ] || exit 0
  grep -q 'Please wait for it to finish' "$said" || exit "$code"
  who=$(holder)
  if [ $(($(date +%s) - began)) -ge "$patience" ]; then
    echo "After $patience s Homebrew's lock is still held by $who. Let that finish, or end it there; then deploy again." >&2
    exit "$code"
  fi
  [ "$who" = "$last" ] || echo "waiting for Homebrew's lock, which is held by $who"
  last=$who
  sleep 3
done
