"""Runs one stand-in: `python -I -S run.py MAC_ROOT MODULE FUNCTION [ARGUMENT...]`."""

import _signal  # type: ignore[import-not-found]  # signal's enums take as long as Python's start
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))

from lab.mac import Machine

_signal.signal(_signal.SIGPIPE, _signal.SIG_DFL)  # die quietly in a pipe, as C programs do
root, module, function = sys.argv[1:4]
command = getattr(__import__(f"lab.commands.{module}", fromlist=[function]), function)
try:
    status = command(Machine(root), sys.argv[4:])
except KeyboardInterrupt:
    status = 130
sys.stdout.flush()
sys.exit(status)
