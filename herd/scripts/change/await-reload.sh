# Lets a running llama-swap see its new configuration, which it looks for every 2 s; until then it
# would answer for the old one. usage: await-reload.sh LLAMA_SWAP_PORT
curl -q --noproxy '*' -s -o /dev/null --max-time 2 "http://127.0.0.1:$1/health" && sleep 3
exit 0
