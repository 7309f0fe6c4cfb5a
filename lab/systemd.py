"""systemctl and loginctl of a Linux machine, for a home directory that plays one.

`python -I -S systemd.py systemctl --user VERB ...` knows what our scripts ask of a user's systemd,
by systemctl(1), systemd.unit(5), systemd.service(5) and systemd.syntax(7). There is no manager:
what is loaded is a copy of the units in XDG_RUNTIME_DIR, and a keeper beside each service starts it
again.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

HOME = Path(os.environ.get("HOME", "/"))
UNITS = HOME / ".config/systemd/user"
WANTED = UNITS / "default.target.wants"
STATE = Path(os.environ.get("XDG_RUNTIME_DIR", "/")) / "lab-systemd"
LINGER = STATE.parent / "linger"


def loaded(unit: str) -> str | None:
    """The text that was read last."""
    copy = STATE / f"{unit}.unit"
    if not copy.exists() and (UNITS / unit).exists():  # read when it is first asked for
        STATE.mkdir(parents=True, exist_ok=True)
        copy.write_text((UNITS / unit).read_text())
    return copy.read_text() if copy.exists() else None


def state(unit: str) -> dict[str, Any]:
    with contextlib.suppress(OSError, ValueError):
        found: dict[str, Any] = json.loads((STATE / f"{unit}.state").read_text())
        if found["pid"] and not _lives(found["keeper"]):  # all was killed
            found |= {"pid": 0, "sub": "failed"}
        return found
    return {"pid": 0, "keeper": 0, "sub": "dead", "restarts": 0, "code": 0, "status": 0}


def _lives(pid: int) -> bool:
    with contextlib.suppress(OSError):
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    return False


def _note(unit: str, **said: Any) -> None:
    draft = STATE / f"{unit}.new"
    draft.write_text(json.dumps(state(unit) | said))
    draft.replace(STATE / f"{unit}.state")


def words(text: str) -> list[str]:
    """systemd.syntax(7): quotes, escapes by a backslash; systemd.unit(5): `%%` is a percent."""
    found = re.findall(r'"((?:[^"\\]|\\.)*)"|(\S+)', text)
    plain = (
        re.sub(r"\\(.)", r"\1", quoted) if quoted or not bare else bare for quoted, bare in found
    )
    return [_percent(word) for word in plain]


def _percent(text: str) -> str:
    if re.search(r"(?<!%)(?:%%)*%(?!%)", text):
        raise ValueError(f"a specifier: {text!r}")
    return text.replace("%%", "%")


def keys(text: str) -> dict[str, list[str]]:
    """Values by key, in their order; sections do not share any here."""
    found: dict[str, list[str]] = {}
    for line in text.splitlines():
        if line and line[0] not in "[#;":
            key, _, value = line.partition("=")
            found.setdefault(key, []).append(value)
    return found


def _spawn(unit: str) -> subprocess.Popen[bytes]:
    service = keys(loaded(unit) or "")
    # systemd.service(5), COMMAND LINES: `$$` is a dollar sign, any other a variable.
    command = words(service["ExecStart"][0])
    if any(re.search(r"(?<!\$)(?:\$\$)*\$(?!\$)", word) for word in command):
        raise ValueError("a variable in ExecStart")
    command = [word.replace("$$", "$") for word in command]
    environment = dict(os.environ)
    for line in service.get("Environment", []):
        environment |= dict(word.split("=", 1) for word in words(line))
    # By a search path of its own, whatever PATH says; here ours.
    program = shutil.which(command[0], path=os.environ["PATH"])
    if program is None:
        raise FileNotFoundError(command[0])
    environment["PATH"] = f"{os.path.dirname(program)}:{environment.get('PATH', '')}"
    log = _percent(service["StandardOutput"][0]).removeprefix("append:")
    soft, hard = service["LimitNOFILE"][0].split(":")
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    limits = (min(int(soft), most), most if hard == "infinity" else int(hard))

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)

    with open(log, "ab") as out:
        return subprocess.Popen(
            command,
            executable=program,
            env=environment,
            cwd=_percent(service["WorkingDirectory"][0]),
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            umask=int(service["UMask"][0], 8),
            start_new_session=True,
            preexec_fn=limit,
        )


def keep(unit: str) -> None:
    """Beside one service from its start to its stop."""
    stopping = False

    def stop(*_: object) -> None:
        nonlocal stopping
        stopping = True
        process.terminate()

    restarts = 0
    process = _spawn(unit)
    signal.signal(signal.SIGTERM, stop)
    while True:
        _note(unit, pid=process.pid, keeper=os.getpid(), sub="running", restarts=restarts)
        process.wait()
        with contextlib.suppress(ProcessLookupError):  # KillMode=mixed: what is left of the group
            os.killpg(process.pid, signal.SIGKILL)
        code = process.returncode
        told = {"code": 1, "status": code} if code >= 0 else {"code": 2, "status": -code}
        again = keys(loaded(unit) or "").get("Restart") == ["always"] and not stopping
        _note(unit, pid=0, sub="auto-restart" if again else "dead", **told)
        if not again:
            return
        time.sleep(1)
        if stopping:
            return
        restarts += 1
        process = _spawn(unit)


def start(unit: str) -> int:
    if loaded(unit) is None:
        return _fail(f"Failed to start {unit}: Unit {unit} not found.", 5)
    if state(unit)["pid"]:
        return 0
    with (STATE / "keeper.log").open("ab") as log:
        keeper = subprocess.Popen(
            [sys.executable, "-I", "-S", __file__, "keep", unit],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    while not state(unit)["pid"]:
        if keeper.poll() is not None:
            return _fail(f"Job for {unit} failed because the control process exited.", 1)
        time.sleep(0.02)
    return 0


def stop(unit: str) -> int:
    if loaded(unit) is None:
        return _fail(f"Failed to stop {unit}: Unit {unit} not loaded.", 5)
    keeper = state(unit)["keeper"]
    with contextlib.suppress(ProcessLookupError):
        if keeper:
            os.kill(keeper, signal.SIGTERM)
    while keeper and _lives(keeper):
        time.sleep(0.02)
    if keeper:
        _note(unit, pid=0, keeper=0, sub="dead")
    return 0


def show(unit: str, names: list[str], *, bare: bool) -> int:
    text, now = loaded(unit), state(unit)
    link = WANTED / unit
    every = {
        "LoadState": "not-found" if text is None else "loaded",
        "SubState": now["sub"],
        "MainPID": now["pid"],
        "NRestarts": now["restarts"],
        "FragmentPath": "" if text is None else UNITS / unit,
        "UnitFileState": "" if text is None else "enabled" if link.is_symlink() else "disabled",
        "NeedDaemonReload": "yes" if text not in (None, _written(unit)) else "no",
        "ExecMainCode": now["code"],
        "ExecMainStatus": now["status"],
        "Environment": " ".join(
            w for line in keys(text or "").get("Environment", []) for w in words(line)
        ),
    }
    for name in names:
        print(every[name] if bare else f"{name}={every[name]}")
    return 0


def _written(unit: str) -> str | None:
    return (UNITS / unit).read_text() if (UNITS / unit).exists() else None


def reload() -> int:
    for copy in STATE.glob("*.unit"):
        unit = UNITS / copy.stem
        if unit.exists():
            copy.write_text(unit.read_text())
        else:
            copy.unlink()
    return 0


def enable(unit: str, *, on: bool) -> int:
    link = WANTED / unit
    if on and "WantedBy" not in keys((UNITS / unit).read_text()):
        return _fail("The unit files have no installation config", 1)
    link.unlink(missing_ok=True)
    if on:
        WANTED.mkdir(parents=True, exist_ok=True)
        link.symlink_to(UNITS / unit)
    return 0


def systemctl(words: list[str]) -> int:
    if words[:1] != ["--user"]:
        return _fail("System has not been booted with systemd as init system (PID 1).")
    if not STATE.parent.is_dir():
        return _fail("Failed to connect to bus: No such file or directory")
    STATE.mkdir(exist_ok=True)
    verb, *rest = words[1:]
    if verb == "show":
        names = [word for before, word in pairwise(rest) if before == "-p"]
        (unit,) = [w for w in rest if w.endswith(".service")]
        return show(unit, names, bare="--value" in rest)
    if verb == "show-environment":
        return 0
    if verb == "daemon-reload":
        return reload()
    (unit,) = rest
    if verb in ("enable", "disable"):
        return enable(unit, on=verb == "enable")
    if verb == "reset-failed":
        return 0
    return {"start": start, "stop": stop}[verb](unit)


def loginctl(words: list[str]) -> int:
    """show-user and enable-linger of loginctl(1)."""
    if words == ["enable-linger"]:
        LINGER.touch()
        return 0
    if words[:1] == ["show-user"]:
        print("yes" if LINGER.exists() else "no")
        return 0
    return _fail(f"Unknown command verb {words[0]}.")


def _fail(text: str, code: int = 1) -> int:
    print(text, file=sys.stderr)
    return code


if __name__ == "__main__":
    program, *arguments = sys.argv[1:]
    if program == "keep":
        keep(*arguments)
    else:
        sys.exit({"systemctl": systemctl, "loginctl": loginctl}[program](arguments))
