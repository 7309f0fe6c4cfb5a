# Puts back what served before a run that cannot finish; a job is restarted only where that needs it.
# usage: put-back.sh ROOT SWAP_JOB PROXY_JOB FILE...
# The jobs are property lists, or "" where launchd does not keep them running.
root=$1 good=$1/last-good swap=$2 proxy=$3
shift 3
# Of a daemon the property list is root's, and stays; what it runs is beside the others.
case $swap in
  /Library/LaunchDaemons/*) domain=system ;;
  *) domain=gui/$(id -u) ;;
esac
. launchctl.sh
. connects.sh
[ -f "$good/run" ] || exit 0
cd -- "$root" || exit 1
changed= restart_swap= restart_proxy=
for file; do
  kept=$good/${file##*/}
  [ -f "$kept" ] && ! cmp -s "$kept" "$file" || continue
  cp -p "$kept" "$file.new" && mv -f "$file.new" "$file" || exit 1
  changed=yes
  case $file in "$proxy") restart_proxy=yes ;; */start.command) ;; *) restart_swap=yes ;; esac
done
for kept in "$good"/*.link; do
  [ -f "$kept" ] || continue
  link=releases/$(basename "$kept" .link)/current
  [ "$(readlink "$link")" != "$(cat "$kept")" ] || continue
  rm -f "$link.new"
  ln -s "$(cat "$kept")" "$link.new" && mv -hf "$link.new" "$link" || exit 1
  changed=yes restart_swap=yes
done
for name in before held; do
  if [ -f "$good/$name" ]; then cp -p "$good/$name" "releases/$name"; else rm -f "releases/$name"; fi
done
# It comes up with one of its own definition only.
renew() {
  label=${1##*/} label=${label%.plist}
  [ -n "$2" ] || ! launchctl print "$domain/$label" 2>/dev/null | grep -q '^	pid = ' || return 0
  [ -f "$1" ] || return 0
  changed=yes
  change bootout "$domain/$label" 2>/dev/null
  polls=0
  while launchctl print "$domain/$label" >/dev/null 2>&1 && [ $polls -lt 525 ]; do polls=$((polls + 1)); sleep 0.2; done
  change enable "$domain/$label"
  tries=0
  until change bootstrap "$domain" "$1" 2>/dev/null || [ $tries -ge 15 ]; do tries=$((tries + 1)); sleep 1; done
}
[ -z "$swap" ] || renew "$swap" "$restart_swap"
[ -z "$proxy" ] || renew "$proxy" "$restart_proxy"
[ -n "$changed" ] || { echo "What defines the stack is what served before, so nothing is put back." >&2; exit 0; }
[ -n "$swap" ] || { echo "What served before is put back; \`make restart\` runs it." >&2; exit 0; }
polls=0
until connects "$root/start.command"; do
  polls=$((polls + 1))
  [ $polls -lt 60 ] || { echo "What served before is put back, but does not answer." >&2; exit 1; }
  sleep 0.5
done
echo "What served before is put back, and answers." >&2
