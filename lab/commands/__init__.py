"""The programs of macOS that a workstation lacks or has differently, one function each.

`run.py` calls `lab.commands.MODULE.FUNCTION(mac, args) -> exit code`.  Texts are macOS's own; a
comment names their public source, or says that they are uncertain.
"""

from __future__ import annotations

# folder on a Mac: module: its commands
STAND_INS: dict[str, dict[str, str]] = {
    "usr/bin": {
        "system": "sw_vers uname arch memory_pressure vm_stat",
        "power": "pmset",
        "administration": "fdesetup defaults dscl softwareupdate xcode-select",
        "users": "id whoami groups sudo chgrp",
        "files": "stat sed mktemp xattr",
        "hashes": "shasum",
        "plutil": "plutil",
        "processes": "pgrep pkill",
        "session": "open caffeinate",
        "shims": "git python3 pip3",
    },
    "bin": {
        "clock": "date",
        "disk": "df",
        "processes": "ps",
        "session": "launchctl",
        "system": "hostname",
    },
    "usr/sbin": {
        "system": "sysctl",
        "administration": "scutil systemsetup networksetup",
        "users": "chown",
        "lsof": "lsof",
    },
    "sbin": {"hashes": "md5", "disk": "mount", "firewalls": "pfctl"},
    "usr/libexec": {"shims": "lab-homebrew"},
    "usr/libexec/ApplicationFirewall": {"firewalls": "socketfilterfw"},
}

# module: commands that read nothing, are soon done, and need not be a child of who starts them
# (lab.commands.answering)
ANSWERED: dict[str, str] = {
    "system": "sw_vers uname arch hostname sysctl",
    "administration": "fdesetup defaults xcode_select",
    "power": "pmset",
    "firewalls": "socketfilterfw",
    "users": "id whoami",
    "files": "stat",
    "hashes": "shasum sha256sum md5 md5sum",
    "processes": "ps",
    "session": "launchctl",
    "clock": "date",
    "disk": "df mount",
    "lsof": "lsof",
}
# What of their environment they look at.
ASKED_WITH = ("HOME", "PATH", "TMPDIR", "TZ", "LAB_MAC", "LAB_SESSION", "LAB_AS_ROOT")
STATE = "answering.state"  # in the lab's directory: the port and the token

# The workstation's own, where it has them: close enough to what a stock Mac has.
BORROWED: dict[str, str] = {
    "bin": "sh bash dash zsh cat chmod cp dd echo ed expr kill ln ls mkdir pwd rm rmdir sleep"
    " stty sync test [ realpath",
    "usr/bin": "awk base64 basename bunzip2 bzip2 cal cmp comm crontab curl cut diff dirname du"
    " egrep env expand false fgrep find file fold getopt grep gunzip gzip head iconv install join"
    " jq less logger look mkfifo more nc nice nl nohup od openssl paste patch perl printenv printf"
    " readlink renice rev rsync scp screen seq sftp sort split ssh ssh-add ssh-keygen ssh-keyscan"
    " strings tail tar tee time touch tr true tty uniq unlink unzip uptime vi wc which who xargs"
    " xxd yes zip zcat",
}
