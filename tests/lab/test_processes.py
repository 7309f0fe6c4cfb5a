"""What belongs to a Mac, and its end."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from lab import processes

# One that takes its time to end: its memory goes first, its ports with the last of its threads.
SERVER = """
import socket, threading
server = socket.create_server(("127.0.0.1", 0))
for _ in range(50):
    threading.Thread(target=threading.Event().wait, daemon=True).start()
filled = bytearray(b"x") * (100 * 2**20)
print(server.getsockname()[1], flush=True)
threading.Event().wait()
"""


@pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="only Linux shows threads")
def test_whoever_is_killed_leaves_no_port_behind(tmp_path: Path) -> None:
    """After a reboot, what answers there is the new one."""
    mac = {**os.environ, processes.MARKER: str(tmp_path)}
    for _ in range(5):
        words = [sys.executable, "-c", SERVER]
        with subprocess.Popen(words, env=mac, stdout=subprocess.PIPE, text=True) as server:
            assert server.stdout
            port = int(server.stdout.readline())
            assert processes.kill_all([str(tmp_path)]) == 1
            with socket.socket() as probe:
                assert probe.connect_ex(("127.0.0.1", port)) != 0
