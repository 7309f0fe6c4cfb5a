"""The programs that macOS has differently: man pages, Apple's sources, published captures."""

from __future__ import annotations

import hashlib
import plistlib
import re
import shlex
import socket
import sys
import threading
from collections.abc import Callable
from typing import Any

import pytest

from lab.commands import ANSWERED, STATE
from lab.lab import Mac

Until = Callable[..., Any]


def run(mac: Mac, command: str) -> tuple[int, str, str]:
    result = mac.run(command)
    return result.returncode, result.stdout, result.stderr


@pytest.mark.parametrize(
    ("command", "output"),
    [
        ("sw_vers -productVersion", "26.1\n"),
        ("sw_vers --productVersion", "26.1\n"),
        (
            "sw_vers",
            "ProductName:\t\tmacOS\nProductVersion:\t\t26.1\nBuildVersion:\t\t25B78\n",
        ),
        ("uname", "Darwin\n"),
        ("uname -m", "arm64\n"),
        ("uname -r", "25.1.0\n"),
        ("uname -sm", "Darwin arm64\n"),
        ("id -u", "501\n"),
        ("id -un", "tester\n"),
        ("id -g", "20\n"),
        ("id -gn", "staff\n"),
        ("whoami", "tester\n"),
        (
            "id",
            "uid=501(tester) gid=20(staff)"
            " groups=20(staff),12(everyone),61(localaccounts),80(admin)\n",
        ),
        ("sysctl -n hw.memsize", "137438953472\n"),
        ("sysctl -n machdep.cpu.brand_string", "Apple M4 Max\n"),
        ("sysctl -n iogpu.wired_limit_mb", "0\n"),
        ("sysctl hw.ncpu", "hw.ncpu: 16\n"),
        ("xcode-select -p", "/Library/Developer/CommandLineTools\n"),
        ("socketfilterfw --getglobalstate", ""),
        ("fdesetup status", "FileVault is Off.\n"),
        ("systemsetup -getremotelogin",
         "You need administrator access to run this tool... exiting!\n"),
        ("dscl . -read /Users/tester UserShell", "UserShell: /bin/zsh\n"),
        ("scutil --get ComputerName", "mac1\n"),
        (
            "memory_pressure -Q",
            "The system has 137438953472 (8388608 pages with a page size of 16384).\n"
            "System-wide memory free percentage: 66%\n",
        ),
    ],
)  # fmt: skip
def test_what_a_new_mac_says(mac: Mac, command: str, output: str) -> None:
    if command.startswith("socketfilterfw"):
        command = f"{mac.root}/usr/libexec/ApplicationFirewall/{command}"
        output = "Firewall is disabled. (State = 0)\n"

    assert run(mac, command) == (0, output, "")


@pytest.mark.parametrize(
    ("command", "code", "error"),
    [
        ("sysctl -n nope", 1, "sysctl: unknown oid 'nope'\n"),
        (
            "sysctl iogpu.wired_limit_mb=57344",
            1,
            "sysctl: iogpu.wired_limit_mb=57344: Operation not permitted\n",
        ),
        ("sudo -n true", 1, "sudo: a password is required\n"),
        ("scutil --get HostName", 1, "HostName: not set\n"),
        (
            "stat -c %s .",
            1,
            "stat: illegal option -- c\n"
            "usage: stat [-FLnq] [-f format | -l | -r | -s | -x] [-t timefmt] [file ...]\n",
        ),
        ("stat -f %z nope", 1, "stat: nope: stat: No such file or directory\n"),
        ("chown nobody-here .", 1, "chown: nobody-here: illegal user name\n"),
        ("chown root .", 1, "chown: .: Operation not permitted\n"),
        ("df -k nope", 1, "df: nope: No such file or directory\n"),
        ("open -a Terminal /nope", 1, "The file /nope does not exist.\n"),
        ("lsof -nP -iTCP:1 -sTCP:LISTEN", 1, ""),
    ],
)
def test_what_is_refused(mac: Mac, command: str, code: int, error: str) -> None:
    assert run(mac, command) == (code, "", error)


@pytest.mark.parametrize(
    "name",
    [
        "timeout",
        "setfacl",
        "ss",
        "ip",
        "flock",
        "getent",
        "nproc",
        "wget",
        "python",
        "systemctl",
        "apt-get",
    ],
)
def test_what_macos_has_not(mac: Mac, name: str) -> None:
    assert run(mac, name)[0] == 127
    assert run(mac, f"command -v {name}")[0] == 127


def test_a_mac_has_what_scripts_use(mac: Mac) -> None:
    names = "sh bash cat ls cp mv rm mkdir chmod ln grep sed awk tr cut head tail sort uniq wc find"
    names += " xargs tar gzip mktemp printf env kill ps pgrep sleep date touch curl tee nohup seq"
    for name in names.split():
        assert run(mac, f"command -v {name}")[0] == 0, name


def test_macos_27_counts_darwin_as_itself(mac: Mac) -> None:
    """Apple left 26 out: Darwin 25 is macOS 26, and Darwin 27 is 27 (26A428, captures)."""
    mac.set(macos="27.0")
    try:
        assert run(mac, "uname -r")[1] == "27.0.0\n"
        assert "26A428" in run(mac, "sw_vers")[1]
    finally:
        mac.set(macos="26.1")


def test_sums_came_with_macos_15(mac: Mac) -> None:
    (mac.home / "f").write_text("x")
    digest = hashlib.sha256(b"x").hexdigest()

    assert run(mac, "shasum -a 256 f") == (0, f"{digest}  f\n", "")
    assert run(mac, "sha256sum f") == (0, f"{digest}  f\n", "")
    assert run(mac, f"echo '{digest}  f' | shasum -a 256 -c") == (0, "f: OK\n", "")
    assert run(mac, f"echo '{digest[:-1]}x  f' | shasum -a 256 -c") == (
        1,
        "f: FAILED\n",
        "shasum: WARNING: 1 computed checksum did NOT match\n",
    )
    assert run(mac, "md5 f") == (0, "MD5 (f) = 9dd4e461268c8034f5c8564e155c67a6\n", "")
    mac.set(macos="14.6")
    assert run(mac, "sha256sum f")[0] == 127
    assert run(mac, "sw_vers -buildVersion")[1] == "23G80\n"
    assert run(mac, "uname -r")[1] == "23.6.0\n"


def test_stat_formats(mac: Mac) -> None:
    file = mac.home / "five"
    file.write_text("12345")
    file.chmod(0o640)
    link = mac.home / "link"
    link.unlink(missing_ok=True)
    link.symlink_to("five")
    mtime = int(file.stat().st_mtime)

    assert run(mac, "stat -f '%z %Lp %OLp %p %Sp %Su:%Sg %u:%g %m %N' five")[1] == (
        f"5 640 640 100640 -rw-r----- tester:staff 501:20 {mtime} five\n"
    )
    assert run(mac, "stat -f '%N%SY %HT' link")[1] == "link -> five Symbolic Link\n"
    assert run(mac, "stat -L -f %z link")[1] == "5\n"
    exact = file.stat().st_mtime_ns
    assert run(mac, "stat -f %Fm five")[1] == f"{exact // 10**9}.{exact % 10**9:09}\n"
    assert run(mac, "stat -n -f %z five")[1] == "5"


def test_bsd_dialects(mac: Mac) -> None:
    file = mac.home / "text"
    file.write_text("old\n")
    assert run(mac, "sed -i '' s/old/new/ text")[0] == 0
    assert file.read_text() == "new\n"
    assert run(mac, "sed -i.bak 's/new/newer/' text && cat text text.bak")[1] == "newer\nnew\n"
    assert run(mac, "date -r 0 -u +%Y")[1] == "1970\n"
    assert run(mac, "date -d yesterday")[2].startswith("date: illegal option -- d\n")
    assert run(mac, "mktemp -t foo")[1].startswith(f"{mac.tmp}/foo.")
    made = run(mac, 'mktemp "$TMPDIR/x.XXXX.plist"')[1]
    if sys.platform == "linux":
        assert made == f"{mac.tmp}//x.XXXX.plist\n"


def test_df_has_nine_columns(mac: Mac) -> None:
    mac.set(disk_total_kb=1000000000, disk_free_kb=250000000)
    heading, row = run(mac, "df -k .")[1].splitlines()

    assert re.sub(" +", " ", heading) == (
        "Filesystem 1024-blocks Used Available Capacity iused ifree %iused Mounted on"
    )
    assert row.split()[3] == "250000000"
    assert row.split()[8] == "/System/Volumes/Data"
    assert len(run(mac, "df -P -k .")[1].splitlines()[1].split()) == 6
    assert run(mac, "df -g .")[1].splitlines()[1].split()[3] == "238"


def test_plutil(mac: Mac) -> None:
    (mac.home / "good.plist").write_bytes(plistlib.dumps({"a": [1, True]}))
    (mac.home / "bad.plist").write_text("bad")
    (mac.home / "data.plist").write_bytes(plistlib.dumps({"a": b"raw"}))

    assert run(mac, "plutil -lint good.plist") == (0, "good.plist: OK\n", "")
    code, _, err = run(mac, "plutil -lint bad.plist")
    assert code == 1
    assert err.startswith("bad.plist: Property List error: Unexpected character b at line 1 / JSON")
    assert run(mac, "plutil -convert json -o - good.plist") == (0, '{"a":[1,true]}', "")
    assert run(mac, "plutil -convert json -o - data.plist") == (
        1,
        "",
        "data.plist: invalid object in plist for destination format\n",
    )
    assert run(mac, "plutil -extract a.0 raw good.plist") == (0, "1\n", "")


def test_sudo_without_a_password(mac: Mac) -> None:
    mac.set(sudo="passwordless")

    assert run(mac, "sudo -n true") == (0, "", "")
    assert run(mac, "sudo -H -n sh -c 'id -u; whoami'") == (0, "0\nroot\n", "")
    assert run(mac, "sudo sysctl iogpu.wired_limit_mb=57344") == (
        0,
        "iogpu.wired_limit_mb: 0 -> 57344\n",
        "",
    )
    assert run(mac, "sysctl -n iogpu.wired_limit_mb")[1] == "57344\n"
    assert run(mac, "pmset -a sleep 0") == (1, "'pmset' must be run as root...\n", "")
    assert run(mac, "sudo -n pmset -a sleep 0 autorestart 1") == (0, "", "")
    assert " sleep                0 (sleep prevented by powerd)\n" in run(mac, "pmset -g")[1]


def test_sudo_by_a_rule(mac: Mac) -> None:
    """Texts and exit codes of sudo 1.9.13 with such a rule beside an administrator's own."""
    mac.set(
        sudo=[
            "/usr/sbin/sysctl iogpu.wired_limit_mb\\=57344",
            "tester ALL=(root) NOPASSWD: /usr/bin/id -u",
        ]
    )
    refused = (1, "", "sudo: a password is required\n")

    assert run(mac, "sudo -n /usr/bin/id -u") == (0, "0\n", "")
    assert run(mac, "sudo -n id -u") == (0, "0\n", "")
    assert run(mac, "sudo -n /usr/bin/id") == refused
    assert run(mac, "sudo -n /usr/bin/id -u more") == refused
    assert run(mac, "sudo -n true") == refused
    assert run(mac, "sudo -n -v") == refused
    assert run(mac, "sudo -n sysctl iogpu.wired_limit_mb=57344")[0] == 0
    assert run(mac, "sudo -n sysctl iogpu.wired_limit_mb=1") == refused
    # An administrator may run all of it with his password: this says nothing of a rule.
    assert run(mac, "sudo -n -l /bin/echo x") == (0, "/bin/echo x\n", "")
    assert run(mac, "sudo -n X=1 /usr/bin/id -u") == (
        1,
        "",
        "sudo: sorry, you are not allowed to set the following environment variables: X\n",
    )


def test_what_is_roots_alone_is_in_this_macs_folder(mac: Mac) -> None:
    run(mac, "echo it >/Library/LaunchDaemons/x; cp /Library/LaunchDaemons/x '/etc/sudoers.d/y'")

    assert (mac.root / "Library/LaunchDaemons/x").read_text() == "it\n"
    assert (mac.root / "etc/sudoers.d/y").read_text() == "it\n"
    assert run(mac, f"cat {mac.root}/Library/LaunchDaemons/x") == (0, "it\n", "")
    (mac.root / "Library/LaunchDaemons/x").unlink()


def test_pmset_says_little_and_does_less(mac: Mac) -> None:
    """Exit codes and texts of Apple's pmset.m; what it lists is pruned, but not by source."""
    mac.set(sudo="passwordless", battery={"sleep": "1"}, power_lacks=["autorestart"])

    assert run(mac, "pmset -a disablesleep 1") == (0, "'pmset' must be run as root...\n", "")
    assert "SleepDisabled" not in run(mac, "pmset -g")[1]
    assert run(mac, "sudo pmset -b disablesleep 1 sleep 0") == (0, "", "")
    assert " SleepDisabled\t\t1\n" in run(mac, "pmset -g")[1]
    assert run(mac, "sudo pmset -a autorestart 1") == (0, "", "")
    assert "autorestart" not in run(mac, "pmset -g")[1] + run(mac, "pmset -g cap")[1]
    battery, _, ac = run(mac, "pmset -g custom")[1].partition("AC Power:\n")
    assert battery.startswith("Battery Power:\n autorestart")
    assert " sleep                0\n" in battery
    assert " sleep                1\n" in ac
    for wrong in ("-a sleeps 0", "-a sleep", "-x sleep 0", "-g nothing", "-a sleep soon"):
        assert run(mac, f"sudo pmset {wrong}") == (1, "", "Usage: pmset <options>\n")
    mac.set(battery=None, power_lacks=[], sleep_disabled=None)


@pytest.mark.parametrize(("macos", "code"), [("15.7", 1), ("26.1", 0), ("27.0", 0)])
def test_pmset_of_26_starts_a_mac_whenever_power_comes(mac: Mac, macos: str, code: int) -> None:
    mac.set(sudo="passwordless", macos=macos)

    assert run(mac, "sudo pmset -a autorestartatconnect 1")[0] == code


@pytest.mark.parametrize(
    ("macos", "said"),
    [
        ("15.7", (0, "Application at path ( /p ) added to firewall\n", "")),
        ("26.1", (255, "", "Must be root to change settings.\n")),
    ],
)
def test_the_firewall_believes_nobody_but_root(mac: Mac, macos: str, said: object) -> None:
    """Captures of lima-vm/socket_vmnet #51 and of newer ones."""
    mac.set(sudo="passwordless", macos=macos, firewall=2, firewall_apps={})
    tool = "/usr/libexec/ApplicationFirewall/socketfilterfw"
    here = f"{mac.root}{tool}"

    assert run(mac, f"{here} --add /p") == said
    assert run(mac, f"{here} --listapps")[1] == "Total number of apps = 0 \n"
    assert run(mac, f"sudo {tool} --unblockapp /p")[1] == (
        "The application is not part of the firewall\n"
    )
    assert run(mac, f"sudo {tool} --add /p && sudo {tool} --blockapp /p")[0] == 0
    assert run(mac, f"{here} --listapps")[1] == (
        "Total number of apps = 1 \n1 : /p \n             (Block incoming connections) \n"
    )
    assert "enabled" not in run(mac, f"{here} --getglobalstate")[1]
    assert run(mac, f"sudo {tool} --remove /p")[0] == 0
    assert mac.facts["firewall_apps"] == {}


def test_pf_has_anchors_and_references(mac: Mac) -> None:
    mac.set(sudo="passwordless")
    chatter = "No ALTQ support in kernel\nALTQ related functions disabled\n"
    rule = "pass in quick proto tcp from 10.0.0.7/32 to any port = 3000"
    load = f"echo '{rule}' | sudo pfctl -a com.apple/250.x -f - && sudo pfctl -E"

    assert run(mac, "pfctl -s info") == (1, "", f"{chatter}pfctl: /dev/pf: Permission denied\n")
    assert run(mac, "sudo pfctl -s info")[1].startswith("Status: Disabled")
    assert run(mac, "sudo pfctl -sr")[1].splitlines()[1] == 'anchor "com.apple/*" all'
    code, out, err = run(mac, load)
    assert (code, out) == (0, "")
    token = err.rpartition("Token : ")[2].strip()
    assert run(mac, "sudo pfctl -a com.apple/250.x -sr") == (
        0,
        "pass in quick inet proto tcp from 10.0.0.7 to any port = 3000 flags S/SA keep state\n",
        chatter,
    )
    assert run(mac, "sudo pfctl -s info")[1].startswith("Status: Enabled")
    assert run(mac, "echo pass everything | sudo pfctl -a com.apple/250.x -f -")[2] == (
        f"{chatter}stdin:1: syntax error\npfctl: Syntax error in config file: pf rules not loaded\n"
    )
    assert run(mac, f"sudo pfctl -X {token} && sudo pfctl -a com.apple/250.x -F rules")[0] == 0
    assert run(mac, "sudo pfctl -a com.apple/250.x -sr; sudo pfctl -s info")[1].startswith(
        "Status: Disabled"
    )
    run(mac, f"echo '{rule}' | sudo pfctl -f -")
    assert "com.apple" not in run(mac, "sudo pfctl -sr")[1]


def test_defaults_of_the_whole_mac_are_roots(mac: Mac) -> None:
    domain = "/Library/Preferences/com.apple.x"
    mac.set(sudo="passwordless", defaults={})

    assert run(mac, f"defaults read {domain}")[2].endswith(f"\nDomain {domain} does not exist\n")
    assert "Could not write domain" in run(mac, f"defaults write {domain} Key -bool true")[2]
    assert run(mac, f"sudo defaults write {domain} Key -bool false") == (0, "", "")
    assert run(mac, f"defaults read {domain}") == (0, "{\n    Key = 0;\n}\n", "")
    assert run(mac, f"defaults read {domain} Key") == (0, "0\n", "")
    assert run(mac, f"sudo defaults delete {domain} Key") == (0, "", "")
    assert run(mac, f"sudo defaults delete {domain} Key")[0] == 1


def test_without_command_line_tools(mac: Mac) -> None:
    mac.set(clt=False)
    code, out, err = run(mac, "xcode-select -p")
    assert (code, out) == (2, "")
    assert err.startswith("xcode-select: error: Unable to get active developer directory.\n")
    for shim in ("git", "python3"):
        code, _, err = run(mac, f"{shim} --version")
        assert code == 1
        assert err.startswith(
            "xcode-select: note: No developer tools were found, requesting install.\n"
        )


def test_lsof_shows_who_listens(mac: Mac, until: Until) -> None:
    port = mac.ports["proxy"]
    code = f"import socket, time; s = socket.create_server(('', {port})); time.sleep(1000)"
    mac.run(f'nohup {shlex.quote(sys.executable)} -c "{code}" >/dev/null 2>&1 &')
    until(lambda: run(mac, f"lsof -nP -iTCP:{port} -sTCP:LISTEN")[0] == 0)
    pid = mac.processes()[0]
    heading, row = run(mac, f"lsof -nP -iTCP:{port} -sTCP:LISTEN")[1].splitlines()

    assert re.sub(" +", " ", heading) == "COMMAND PID USER FD TYPE DEVICE SIZE/OFF NODE NAME"
    words = row.split()
    assert words[1:3] == [str(pid), "tester"]
    assert words[4] == "IPv4"
    assert words[-3:] == ["TCP", f"*:{port}", "(LISTEN)"]
    assert run(mac, f"lsof -ti :{port} -sTCP:LISTEN")[1] == f"{pid}\n"
    other = mac._lab["mac2"]
    assert run(other, f"lsof -nP -iTCP:{port} -sTCP:LISTEN") == (1, "", "")


def test_ps_shows_this_macs_processes(mac: Mac) -> None:
    mac.run("nohup sleep 1000 >/dev/null 2>&1 &")
    listed = run(mac, "ps -eo pid,args")[1]

    assert f"{mac.processes()[0]} sleep 1000" in listed
    assert "lab.daemon" not in listed
    assert run(mac, "ps aux")[0] == 0
    assert run(mac, f"ps -p {mac.processes()[0]} -o args=")[1] == "sleep 1000\n"
    assert run(mac, "pkill -x sleep")[0] == 0


ASKED = """
printf 'a\\tb' >file && ln -sf file 'a link' && touch "$(printf 'odd\\nä')"
sw_vers; uname -a; arch; hostname -s; sysctl -n hw.memsize hw.nothing; xcode-select -p
fdesetup status; defaults read some key 2>&1 | tail -n 1
"$LAB_MAC/usr/libexec/ApplicationFirewall/socketfilterfw" --getglobalstate
whoami; id; sudo -n id -u; pmset -g; pmset -a sleep 0
stat -f '%Sp %z %N %Y' file a* odd* nothing; stat -L -f %z 'a link'; stat -z
shasum -a 256 file nothing; shasum <file; cat file | shasum; md5 -q file; sha256sum file
md5sum file
mount; df -k .; TZ=Asia/Tokyo date -r 0 +%H; date -r 86400.5; date -x
launchctl print gui/501; launchctl print gui/501/nobody; launchctl asuser 501 true
lsof -nP -iTCP:1; lsof; ps -o nothing; ps -p 99999999
"""


def test_who_answers_says_what_a_stand_in_says_itself(mac: Mac) -> None:
    """Its output, its errors and its exit codes, wherever it is asked, and with what is to read."""
    state = mac.root.parent / STATE
    kept = state.read_text()
    assert state.stat().st_mode & 0o777 == 0o600
    lines = [f'cd "$TMPDIR"; {line}; echo $?' for line in ASKED.strip().splitlines()]
    told = [run(mac, line.replace(";", "; echo $?;")) for line in lines]
    try:
        state.unlink()
        itself = [run(mac, line.replace(";", "; echo $?;")) for line in lines]
        state.write_text(kept.replace("\n", "x\n"))
        refused = run(mac, "uname; stat -f %z nothing")
        with socket.create_server(("127.0.0.1", 0)) as busy:  # hangs up on whoever asks
            hanging_up = threading.Thread(target=lambda: busy.accept()[0].close())
            hanging_up.start()
            state.write_text(f"{busy.getsockname()[1]}\nx\n")
            hung_up = run(mac, f"stat -f %z {'x' * 200} {'y/' * 20_000}; echo $?")
            hanging_up.join()
    finally:
        state.write_text(kept)
        state.chmod(0o600)

    assert told == itself
    assert refused == (1, "Darwin\n", "stat: nothing: stat: No such file or directory\n")
    assert hung_up[1] == "1\n"
    for names in ANSWERED.values():
        for name in names.replace("xcode_select", "xcode-select").split():
            assert re.search(rf"\b{name}\b", ASKED), name
