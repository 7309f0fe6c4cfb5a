"""What is wrong on a command line is told beside the options of its verb."""

import os
import sys

from tests import preloaded
from tests.core.samples import ROOT


def test_an_unknown_option_shows_the_usage_of_its_verb() -> None:
    done = preloaded.run(
        [sys.executable, "-m", "herd", "status", "--jsn"],
        cwd=ROOT,
        env=dict(os.environ),
        timeout=60,
    )

    assert done.returncode == 2
    assert done.stderr.startswith("usage: python -m herd status [-h]")
    assert done.stderr.endswith("error: unrecognized arguments: --jsn\n")
