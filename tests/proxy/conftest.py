"""Lets these tests import the proxy as it runs on a Mac: from the directory above the package."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))
