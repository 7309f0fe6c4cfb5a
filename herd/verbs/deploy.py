"""What pyinfra and pytest do with a whole herd, as verbs: wherever it is, with the toolkit's files.

`make plan` and the others are the same command lines, for who has the checkout.
"""

import os
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from typing import NoReturn

from herd.connections.remote import RemoteError
from herd.verbs.roll import runs
from herd.workstation.toolkit import PIN, ROOT

VERBS = {
    "plan": "what a deploy would change; takes pyinfra's options, too",
    "deploy": "deploy without asking; takes pyinfra's options, too",
    "roll": "deploy from Mac to Mac, while the others serve; ends at the first that fails; takes "
    "pyinfra's options, too",
    "upgrade": "the same, and upgrade the packages",
    "rollback": "the same of the pinned releases before",
    "verify": "check each Mac from outside against what was declared; takes pytest's options, too",
}
ROLLS = frozenset(runs.RUNS)
"""Those of VERBS that go from Mac to Mac (`herd.verbs.roll`)."""
_MODES = {"plan": ["--dry"], "deploy": ["-y"]}


def run(verb: str, inventory: str, limits: Sequence[str], more: Sequence[str]) -> NoReturn:
    """Run one of VERBS that is no roll to its end, which is this process's."""
    chosen = [f"--limit={limit}" for limit in limits]
    if verb == "verify":
        _verify([f"--inventory={inventory}", *chosen, *more])
    from pyinfra_cli.main import main  # it is a program, and sets up the process as one

    config, deploy = str(ROOT / "config.py"), str(ROOT / "deploy.py")
    words = [*_MODES[verb], f"--config={config}", *chosen, *more, "--", inventory, deploy]
    sys.argv = ["pyinfra", *words]
    main()
    sys.exit(0)


def _verify(words: Sequence[str]) -> NoReturn:
    """By a process of its own: pytest and its plugins come before gevent's patches."""
    if not (find_spec("pytest") and find_spec("testinfra")):
        raise RemoteError(
            f"pytest and testinfra are not here; {PIN} has them, as llama-herd[verify]"
        )
    pytest = ["-m", "pytest", "-c", str(ROOT / "pyproject.toml"), f"--rootdir={ROOT}"]
    command = [sys.executable, *pytest, "-p", "no:cacheprovider", str(ROOT / "tests/infra"), *words]
    sys.stdout.flush()
    environment = os.environ | {"PYTHONPATH": str(ROOT), "PYTHONSAFEPATH": "1"}
    os.execve(sys.executable, command, environment)
