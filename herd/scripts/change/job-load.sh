# Loads a launchd job from its property list. usage: job-load.sh DOMAIN LABEL PLIST
domain=$1
. launchctl.sh
[ -f "$3" ] || { echo "$3 is not there: deploy first" >&2; exit 1; }
plutil -lint "$3" >/dev/null || { plutil -lint "$3" >&2; exit 1; }
# launchd of macOS 27 passes over one that came with a browser, and says nothing. (Root's is new.)
[ "$domain" = system ] || xattr -d com.apple.quarantine "$3" 2>/dev/null
change enable "$1/$2" || [ "$domain" != system ] || exit 1
tries=0
until said=$(change bootstrap "$1" "$3" 2>&1); do
  tries=$((tries + 1))
  refused "$said" && exit 1
  case $said in
    # 125, or 112: the domain is gone, as somebody logged out in the middle.
    *'Domain does not support specified action'* | *'Could not find domain'* | *'find specified domain'*)
      echo "Nobody is logged in at this Mac's screen any more, where LaunchAgents live: log in there, and deploy again. launchd says: $said" >&2
      exit 1
      ;;
  esac
  # "5: Input/output error" (to root "37: Operation already in progress") is what a label gets that is
  # loaded already, or still going away: only after a while is it the former.
  [ $tries -lt 5 ] || { launchctl print "$1/$2" >/dev/null 2>&1 && break; }
  [ $tries -lt 15 ] || { printf '%s\n' "$said" >&2; exit 1; }
  sleep 1
done
