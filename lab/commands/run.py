"""Runs one stand-in: `python -I -S run.py MAC_ROOT MODULE FUNCTION [ARGUMENT...]`."""

import importlib
import os
import signal
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))

from lab.mac import Machine

signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # die quietly in a pipe, as C programs do
root, module, function = sys.argv[1:4]
command = getattr(importlib.import_module(f"lab.commands.{module}"), function)
try:
    status = command(Machine(root), sys.argv[4:])
except KeyboardInterrupt:
    status = 130
sys.stdout.flush()
sys.exit(status)
