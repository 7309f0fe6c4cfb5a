# Starts a loaded launchd job and waits until it has a process.
# usage: job-start.sh TARGET LOG
domain=$1
. launchctl.sh
said=$(change kickstart "$1" 2>&1) || {
  case $said in
    *'Domain does not support specified action'*) echo "Nobody is logged in at this Mac's screen any more, where LaunchAgents live: log in there, and deploy again." >&2 ;;
  esac
  printf '%s\n' "$said" >&2
  exit 1
}
polls=0
until launchctl print "$1" | grep -q '^	pid = '; do
  polls=$((polls + 1))
  [ $polls -lt 75 ] || {
    echo "$1 does not start:" >&2
    launchctl print "$1" | grep -E '^	(state|runs|last )' >&2
    tail -n 15 "$2" >&2
    case $2 in
      # launchd.plist(5), CAVEATS: it tells nobody.
      /Volumes/*) echo "macOS may keep launchd jobs off removable volumes: allow it under Privacy & Security > Files and Folders, or move stack_root." >&2 ;;
    esac
    exit 1
  }
  sleep 0.2
done
