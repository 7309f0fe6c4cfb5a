"""The CI runner as a Mac whose own settings are kept, as far as a virtual one has them: it has no
power to lose, no network to wake it, and no limit of the GPU's."""

import runpy
from pathlib import Path

_RUNNER = runpy.run_path(str(Path(__file__).with_name("macos_runner.py")))
_KEPT = {"mac_sleep": "never", "mac_automatic_updates": False, "mac_networks": ["127.0.0.0/8"]}

macs = [(host, {**data, **_KEPT}) for host, data in _RUNNER["macs"]]
