"""The CI runner as a Mac that serves with nobody logged in: its sudo asks for no password."""

import runpy
from pathlib import Path

_RUNNER = runpy.run_path(str(Path(__file__).with_name("macos_runner.py")))

macs = [(host, {**data, "launchd_domain": "daemon"}) for host, data in _RUNNER["macs"]]
