# Whether somebody takes connections wherever a start.command has llama-swap and the proxy listen:
# as they are there, and not as what is to come would have it.
# usage: connects.sh     (its text takes the place of a line `. connects.sh`; then `connects FILE`)
connects() {
  listens=$(sed -n 's/.* --listen \([^ ]*\) .*/\1/p' "$1" 2>/dev/null | tr -d "'")
  [ -n "$listens" ] || return 1
  for address in $listens; do
    # 7: nobody is there. A proxy with a certificate answers plain HTTP by an error, which is one.
    curl -q --noproxy '*' -s -o /dev/null --max-time 5 "http://$address/health"
    [ $? -ne 7 ] || return 1
  done
}
