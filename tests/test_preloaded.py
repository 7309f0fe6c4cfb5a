"""A forked child is as a started one: its directory, arguments, environment, streams and end."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from time import monotonic

import pytest

from tests import preloaded

PROGRAM = """
import json, os, signal, sys
print(json.dumps([
    sys.argv[1:], os.getcwd(), dict(os.environ), sys.path[0], __name__,
    sys.stdin.read(), sys.stdout.isatty(),
    [signal.getsignal(n) == signal.SIG_DFL for n in (signal.SIGCHLD, signal.SIGTERM)],
    sorted(m for m in sys.modules if m.split(".")[0] in ("herd", "lab", "tests", "proxy")),
]))
print("said", file=sys.stderr)
sys.exit(int(sys.argv[1]))
"""


@pytest.mark.parametrize("as_module", [True, False])
def test_it_is_as_if_it_were_started(tmp_path: Path, as_module: bool) -> None:
    script = tmp_path / "itself.py"
    script.write_text(PROGRAM)
    start = [sys.executable, "-m", "itself"] if as_module else [str(script)]
    environment = {"PATH": os.environ["PATH"], "ONLY": "one"}

    forked = preloaded.run([*start, "7", "a b"], cwd=tmp_path, env=environment, timeout=60)
    started = subprocess.run(
        [*start, "7", "a b"] if as_module else [sys.executable, *start, "7", "a b"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        check=False,
    )

    assert (
        (forked.returncode, forked.stderr) == (started.returncode, started.stderr) == (7, "said\n")
    )
    told, wanted = json.loads(forked.stdout), json.loads(started.stdout)
    for words in (told, wanted):
        words[2].pop("LC_CTYPE", None)  # which a started Python may set for itself
    assert told == wanted


def test_its_death_and_its_trouble_are_told(tmp_path: Path) -> None:
    (tmp_path / "dies.py").write_text("import os; os.kill(os.getpid(), 9)")
    (tmp_path / "fails.py").write_text("raise ValueError('no')")
    (tmp_path / "stays.py").write_text("import time; time.sleep(60)")

    def run(name: str, timeout: float = 60) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", name]
        return preloaded.run(command, cwd=tmp_path, env=os.environ, timeout=timeout)

    assert run("dies").returncode == -signal.SIGKILL
    failed = run("fails")
    assert failed.returncode == 1
    assert failed.stderr.endswith("ValueError: no\n")
    began = monotonic()
    with pytest.raises(subprocess.TimeoutExpired):
        run("stays", 0.5)
    assert monotonic() - began < 30


def test_one_that_goes_on_is_written_to_and_read_and_ended(tmp_path: Path) -> None:
    text = "import sys\nfor line in sys.stdin: print(line.upper(), end='', flush=True)\n"
    (tmp_path / "echoes.py").write_text(text)

    def start() -> "subprocess.Popen[str]":
        pipe = subprocess.PIPE
        command = [sys.executable, "-m", "echoes"]
        return preloaded.Popen(command, cwd=tmp_path, stdin=pipe, stdout=pipe, text=True)

    with start() as first, start() as second:
        assert first.stdin
        assert first.stdout
        first.stdin.write("one\n")
        first.stdin.flush()
        assert first.stdout.readline() == "ONE\n"
        assert first.poll() is None
        with pytest.raises(subprocess.TimeoutExpired):
            first.wait(0.1)
        first.kill()
        assert first.wait(30) == first.poll() == -signal.SIGKILL
        assert second.communicate("two\n", timeout=30)[0] == "TWO\n"
        assert second.returncode == 0
