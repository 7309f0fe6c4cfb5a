"""The command `llama-herd`: the verbs of `python -m herd`, from any directory.

A plain install has this as `llama_herd/__init__.py`, and beside it all else as it is here: `herd`,
`proxy` or `templates` at the top of somebody's environment would be in the way of other packages.
"""

import os
import sys
from pathlib import Path


def main() -> int:
    """Run one verb; its exit code."""
    sys.path.insert(0, str(Path(__file__).parent))
    os.environ["HERD_PROGRAM"] = "llama-herd"  # herd/workstation/typed_commands.py
    from herd.__main__ import main as verb

    return verb(program="llama-herd")


if __name__ == "__main__":  # python /path/to/llama_herd.py, where it is not installed
    sys.exit(main())
