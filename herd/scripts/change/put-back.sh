# Puts back what served before a run that cannot finish; a job is restarted only where that needs it.
# usage: put-back.sh ROOT DOMAIN KEEPS [NAME AGENT WRITES]...
# DOMAIN is where this run has its jobs, "system" or "session"; KEEPS is "" where launchd does not keep
# them running. AGENT is a job's property list as a LaunchAgent, WRITES the script by which root writes
# its LaunchDaemon's, which is the same whatever it runs (herd/core/mac/sudo_rules.py).
root=$1 good=$1/last-good keeps=$3 session=gui/$(id -u)
wanted=$session
[ "$2" = session ] || wanted=$2
shift 3
. launchctl.sh
. connects.sh
[ -f "$good/run" ] || exit 0
cd -- "$root" || exit 1
changed=''
stale=''
# Has a file as it was kept, if it was and is otherwise now.
back() {
  kept=$good/${1##*/}
  [ -f "$kept" ] && ! cmp -s "$kept" "$1" || return 1
  cp -p "$kept" "$1.new" && mv -f "$1.new" "$1" || exit 1
  changed=yes
}
back start.command
back config.yaml && stale=yes
for kept in "$good"/*.link; do
  [ -f "$kept" ] || continue
  link=releases/$(basename "$kept" .link)/current
  [ "$(readlink "$link")" != "$(cat "$kept")" ] || continue
  rm -f "$link.new"
  ln -s "$(cat "$kept")" "$link.new" && mv -hf "$link.new" "$link" || exit 1
  changed=yes stale=yes
done
for name in before held; do
  if [ -f "$good/$name" ]; then cp -p "$good/$name" "releases/$name"; else rm -f "releases/$name"; fi
done
end() {
  change bootout "$domain/$label" 2>/dev/null
  polls=0
  while launchctl print "$domain/$label" >/dev/null 2>&1 && [ $polls -lt 525 ]; do polls=$((polls + 1)); sleep 0.2; done
}
# It served in the other domain: here it ends, and does not come again.
leave() {
  domain=$wanted daemon=/Library/LaunchDaemons/$label.plist
  ! launchctl print "$domain/$label" >/dev/null 2>&1 || end
  case $domain in
    system) [ ! -e "$daemon" ] || as_root /bin/rm -f "$daemon" ;;
    *)
      launchctl disable "$domain/$label"
      rm -f "$agent"
      as_root /bin/sh -c "$writes"
      ;;
  esac
  changed=yes restart=yes
}
# It comes up with one of its own definition only.
renew() {
  case $was in system) plist=/Library/LaunchDaemons/$label.plist ;; *) plist=$agent ;; esac
  domain=$was
  [ -n "$restart" ] || ! launchctl print "$domain/$label" 2>/dev/null | grep -q '^	pid = ' || return 0
  [ -f "$plist" ] || return 0
  changed=yes
  end
  change enable "$domain/$label"
  tries=0
  until said=$(change bootstrap "$domain" "$plist" 2>&1) || refused "$said" || [ $tries -ge 15 ]; do tries=$((tries + 1)); sleep 1; done
}
while [ $# -ge 3 ]; do
  name=$1 agent=$2 writes=$3 label=${2##*/}
  shift 3
  label=${label%.plist} was=$wanted restart=
  [ "$name" != llama-swap ] || restart=$stale
  if [ -e "$good/system/$label" ]; then
    was=system
  elif [ -f "$good/$label.plist" ]; then
    was=$session
    back "$agent" && restart=yes
  fi
  back "daemon-$name.sh" && restart=yes
  [ -n "$keeps" ] || continue
  [ "$was" = "$wanted" ] || leave
  renew
done
[ -n "$changed" ] || { echo "What defines the stack is what served before, so nothing is put back." >&2; exit 0; }
[ -n "$keeps" ] || { echo "What served before is put back; \`make restart\` runs it." >&2; exit 0; }
polls=0
until connects start.command; do
  polls=$((polls + 1))
  [ $polls -lt 60 ] || { echo "What served before is put back, but does not answer." >&2; exit 1; }
  sleep 0.5
done
echo "What served before is put back, and answers." >&2
