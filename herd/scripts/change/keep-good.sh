# Keeps what defines the stack, once in a run, where it serves: what follows may not come up.
# usage: keep-good.sh ROOT RUN AGENT...
# AGENT is a job's property list as a LaunchAgent; jobs that run in the system's domain are noted.
. connects.sh
root=$1 run=$2
[ "$(cat "$root/last-good/run" 2>/dev/null)" != "$run" ] || exit 0
connects "$root/start.command" || exit 0
shift 2
umask 077
cd -- "$root" || exit 1
rm -rf last-good.new && mkdir -p last-good.new/system || exit 1
for file in config.yaml start.command daemon-*.sh releases/before releases/held "$@"; do
  [ ! -f "$file" ] || cp -p "$file" last-good.new/ || exit 1
done
for agent; do
  label=${agent##*/} label=${label%.plist}
  ! launchctl print "system/$label" 2>/dev/null | grep -q '^	pid = ' || : >"last-good.new/system/$label" || exit 1
done
for link in releases/*/current; do
  [ ! -L "$link" ] || readlink "$link" >"last-good.new/$(basename "${link%/current}").link" || exit 1
done
echo "$run" >last-good.new/run
rm -rf last-good.old
[ ! -d last-good ] || mv last-good last-good.old || exit 1
mv last-good.new last-good && rm -rf last-good.old
