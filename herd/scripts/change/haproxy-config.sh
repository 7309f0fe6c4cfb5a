# Takes gateway/haproxy.cfg.next for HAProxy's configuration, if HAProxy does, and lets one that runs
# have it: what it has begun goes on. The master becomes the program that the link leads to now, so
# that is how a new version comes, too. usage: haproxy-config.sh ROOT HAPROXY TARGET PYTHON
. job-pid.sh
# On Linux it is called by its name, and systemd looks there first (systemd.service(5)).
PATH=/usr/local/sbin:/usr/local/bin:$PATH
cd -- "$1" || exit 1
said=$("$2" -c -f gateway/haproxy.cfg.next 2>&1) || {
  printf '%s\n' "HAProxy does not take its configuration, so the one before stays:" "$said" >&2
  rm -f gateway/haproxy.cfg.next
  exit 1
}
mv gateway/haproxy.cfg.next gateway/haproxy.cfg
pid=$(job_pid "$3")
[ -n "$pid" ] || exit 0 # it reads the file when it starts
# Who is down or drained stays so. The socket answers a line, and ends. A signal is lost on a master
# that is just about to wait, so what counts is that another process answers.
"$4" -c '
import os, re, signal, socket, sys, time

def ask(question):
    with socket.socket(socket.AF_UNIX) as asked:
        asked.settimeout(5)
        asked.connect("gateway/haproxy.sock")
        asked.sendall(question)
        with asked.makefile() as answer:
            return answer.read()

def serving():
    try:
        found = re.search("^Pid: ([0-9]+)", ask(b"show info\n"), re.M)
    except OSError:
        return None
    return found and found[1]

before = serving()
if before is None:
    print("HAProxy does not say what it knows of the Macs, and finds out anew.", file=sys.stderr)
    os.kill(int(sys.argv[1]), signal.SIGUSR2)
    sys.exit()
text = ask(b"show servers state\n")
# Ports are of the state, too, and HAProxy believes those rather than its configuration: whose were
# changed is found out anew.
with open("gateway/haproxy.cfg") as file:
    servers = re.findall(r"^ *server (.*)", file.read(), re.MULTILINE)
def stands(line):
    words = line.split()
    if len(words) < 25 or words[0] == "#":
        return True
    name, port, agent = words[3], words[18], words[24]
    return any(
        each.split()[0].strip("\x27\x22") == name
        and re.search(rf":{port}\b", each)
        and (agent == "0" or re.search(rf"agent-port {agent}\b", each))
        for each in servers
    )
text = "".join(filter(stands, text.splitlines(keepends=True)))
descriptor = os.open("gateway/haproxy.state.new", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
with open(descriptor, "w") as file:
    file.write(text)
os.replace("gateway/haproxy.state.new", "gateway/haproxy.state")
for _ in range(3):
    os.kill(int(sys.argv[1]), signal.SIGUSR2)
    end = time.monotonic() + 5
    while time.monotonic() < end:
        if serving() not in (before, None):
            sys.exit()
        time.sleep(0.1)
sys.exit("HAProxy did not take it over; what ran before goes on: its log says why.")
' "$pid"
