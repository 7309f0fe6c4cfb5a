# Takes gateway/haproxy.cfg.next for HAProxy's configuration, if HAProxy does, and lets one that runs
# have it: what it has begun goes on. usage: haproxy-config.sh ROOT HAPROXY TARGET PYTHON
cd -- "$1" || exit 1
said=$("$2" -c -f gateway/haproxy.cfg.next 2>&1) || {
  printf '%s\n' "HAProxy does not take its configuration, so the one before stays:" "$said" >&2
  rm -f gateway/haproxy.cfg.next
  exit 1
}
mv gateway/haproxy.cfg.next gateway/haproxy.cfg
pid=$(launchctl print "$3" 2>/dev/null | sed -n 's/^	pid = //p')
[ -n "$pid" ] || exit 0 # it reads the file when it starts
# Who is down or drained stays so. The socket answers a line, and ends.
"$4" -c '
import os, socket
with socket.socket(socket.AF_UNIX) as asked:
    asked.settimeout(5)
    asked.connect("gateway/haproxy.sock")
    asked.sendall(b"show servers state\n")
    with asked.makefile() as answer:
        text = answer.read()
descriptor = os.open("gateway/haproxy.state.new", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
with open(descriptor, "w") as file:
    file.write(text)
os.replace("gateway/haproxy.state.new", "gateway/haproxy.state")
' || echo "HAProxy did not say what it knows of the Macs, and finds out anew." >&2
kill -USR2 "$pid"
