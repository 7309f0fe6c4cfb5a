# Waits until a Mac can be asked through the gateway. usage: await-gateway.sh URL SECONDS
# stdin: a curl option with a key's header, or nothing
url=$1
end=$(($(date +%s) + $2))
while [ "$(curl -q --noproxy '*' -sk -o /dev/null -w '%{http_code}' --max-time 5 "$url/readyz")" != 200 ]; do
  [ "$(date +%s)" -lt $end ] || exit 0 # what is wrong is seen by who asks next
  sleep 0.5
done
