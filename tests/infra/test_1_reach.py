"""The Mac answers, and is the one that a deploy could serve from."""

from collections.abc import Callable

from herd.core.settings.problems import Problem
from herd.workstation.typed_commands import command
from tests.infra.mac import Mac
from tests.infra.report import refuse


def test_reached_by_ssh(
    name: str, reached: dict[str, Mac], lost: dict[str, str], found: Callable[[str], None]
) -> None:
    if name not in reached:
        how = command("status", LIMIT=name)
        fix = f"`ssh` to it must work without a password; `{how}` says more."
        what = f"It cannot be reached by SSH, or not worked with: {lost[name]}."
        refuse([Problem(name, what, fix)])
    mac = reached[name]
    macos = ".".join(map(str, mac.identity.macos))
    what = f"{mac.identity.chip}, macOS {macos}"
    if mac.layout.is_linux:
        what = f"Linux on {mac.identity.arch}"
    found(f"{what}, serving {mac.url}/v1")
