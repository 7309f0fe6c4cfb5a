"""What pyinfra and pytest do with a whole herd, as verbs: wherever it is, with the toolkit's files.

`make plan` and the others are the same command lines, for who has the checkout.
"""

import os
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from typing import NoReturn

from herd.connections.remote import RemoteError
from herd.verbs import upgrade
from herd.workstation.toolkit import PIN, ROOT

VERBS = {
    "plan": "what a deploy would change; takes pyinfra's options, too",
    "deploy": "deploy without asking; takes pyinfra's options, too",
    "upgrade": "one Mac after the other: deploy, and upgrade the packages; ends at the first that "
    "fails; takes pyinfra's options, too",
    "rollback": "the pinned releases before, one Mac after the other; takes pyinfra's options, too",
    "verify": "check each Mac from outside against what was declared; takes pytest's options, too",
}
_MODES = {"plan": ["--dry"], "deploy": ["-y"]}


def run(
    verb: str,
    inventory: str,
    limits: Sequence[str],
    more: Sequence[str],
    *,
    json_wanted: bool = False,
) -> NoReturn:
    """Run one of VERBS to its end, which is this process's; those of upgrade.RUNS have a form of
    their own for programs, the others pyinfra's."""
    if verb in upgrade.RUNS:
        done = upgrade.roll(verb, inventory, limits, more, json_wanted=json_wanted)
        sys.exit(0 if done else 1)
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
