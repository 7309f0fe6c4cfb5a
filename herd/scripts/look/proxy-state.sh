# Which releases and environments of the proxy are whole. usage: proxy-state.sh DIRECTORY
cd "$1" 2>/dev/null || exit 0
# What those definitions name that could be put back.
grep -ho 'proxy/[er][a-z]*-[0-9a-z.-]*' ../last-good/*.plist ../last-good/daemon-*.sh 2>/dev/null | sort -u | sed 's:^proxy/:kept :'
for entry in *; do
  case $entry in
    release-*.new | *.tar.gz*) echo "junk $entry" ;;
    release-*) [ -d "$entry/proxy" ] && echo "whole $entry" || echo "junk $entry" ;;
    # After an upgrade of Python the link to it may lead nowhere.
    env-*) [ -f "$entry/.complete" ] && [ -x "$entry/bin/python" ] && echo "whole $entry" || echo "junk $entry" ;;
  esac
done
