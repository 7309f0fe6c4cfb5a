# Has its job set the GPU's limit, and models loaded anew: llama-server knows that of its start only.
# usage: wired-limit.sh LIMIT TARGET SWAP_PORT SWAP_KEY
domain=system
. launchctl.sh
tries=0
until now=$(sysctl -n iogpu.wired_limit_mb) && [ "$now" = "$1" ]; do
  tries=$((tries + 1))
  [ $tries -ne 5 ] || change kickstart "$2" || exit 1
  [ $tries -lt 50 ] || { echo "The Mac did not take it: iogpu.wired_limit_mb is $now still, not $1." >&2; exit 1; }
  sleep 0.2
done
set -- "$3" "$4" ''
{
. unload.sh
} >/dev/null 2>&1
exit 0
