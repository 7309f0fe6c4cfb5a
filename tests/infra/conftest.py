"""The options of `make verify`, and a test for each host.

herd.connections.remote is imported only once there is an inventory to read: pyinfra's reader of
inventories replaces sockets and threads of the whole process, which other tests must not meet.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from herd.core.files.written_files import Written
    from tests.infra.declared import Job
    from tests.infra.mac import Fleet, Mac

FLEET: pytest.StashKey[Fleet] = pytest.StashKey()


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("herd", "the Macs of an inventory (tests/infra)")
    group.addoption("--inventory", metavar="FILE", help="check whether they are as declared")
    group.addoption(
        "--limit",
        action="append",
        metavar="HOST",
        help="a host, a pattern or a group; may be repeated; default: every host",
    )


def pytest_report_header(config: pytest.Config) -> str | None:
    if not config.getoption("--inventory", None):
        return "tests/infra: nothing is checked without --inventory inventory.py"
    return None


def pytest_ignore_collect(config: pytest.Config) -> bool | None:
    return None if config.getoption("--inventory", None) else True


def pytest_configure(config: pytest.Config) -> None:
    if not (inventory := config.getoption("--inventory", None)):
        return
    if config.option.tbstyle == "auto":
        config.option.tbstyle = "short"  # the long one shows arguments, of which one is a key
    with warnings.catch_warnings():
        # Plugins of pytest have taken the ssl of before; it is theirs, and nothing here is.
        warnings.filterwarnings("ignore", "Monkey-patching ssl")
        import pyinfra_cli  # noqa: F401 (gevent's patches, before what is to use them)

    from herd.connections.remote import RemoteError
    from herd.core.settings.problems import SettingsError
    from tests.infra.mac import Fleet

    try:
        config.stash[FLEET] = Fleet.read(inventory, config.getoption("--limit") or [])
    except (RemoteError, SettingsError) as error:
        raise pytest.UsageError(str(error)) from None


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "name" in metafunc.fixturenames:
        names = [host.name for host in metafunc.config.stash[FLEET].chosen]
        metafunc.parametrize("name", names, scope="session")


@pytest.fixture(scope="session")
def reached(pytestconfig: pytest.Config) -> Iterator[dict[str, Mac]]:
    """The Macs that answer, by name."""
    with pytestconfig.stash[FLEET].reached() as macs:
        yield macs


@pytest.fixture
def lost(reached: dict[str, Mac], pytestconfig: pytest.Config) -> dict[str, str]:
    """Why the others do not, by name."""
    return pytestconfig.stash[FLEET].lost


@pytest.fixture(autouse=True)
def _of_host(name: str, record_property: Callable[[str, object], None]) -> None:
    record_property("host", name)


@pytest.fixture(scope="session")
def mac(name: str, reached: dict[str, Mac], request: pytest.FixtureRequest) -> Mac:
    """A Mac that answers; what all checks ask of it is known."""
    from tests.infra.foreseen import foresee

    if name not in reached:
        pytest.skip(f"{name} cannot be asked")
    items = (item for item in request.session.items if isinstance(item, pytest.Function))
    foresee(reached[name], dict.fromkeys(item.module for item in items))
    return reached[name]


@pytest.fixture(scope="session")
def jobs(mac: Mac) -> list[Job]:
    """The launchd jobs that it should have."""
    from tests.infra.declared import jobs_of

    return jobs_of(mac)


@pytest.fixture(scope="session")
def files(mac: Mac, jobs: list[Job]) -> list[Written]:
    """The files that it should have."""
    from tests.infra.declared import files_of

    return list(files_of(mac, jobs))


@pytest.fixture
def running(mac: Mac) -> Mac:
    """A Mac whose stack runs, or should."""
    if mac.is_stopped:
        pytest.skip("nothing runs, and need not: launchd_autostart is off")
    return mac


@pytest.fixture
def found(record_property: Callable[[str, object], None]) -> Callable[[str], None]:
    """Says in the report what was found."""
    return lambda text: record_property("found", text)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    from tests.infra.report import found_by_host

    if (fleet := terminalreporter.config.stash.get(FLEET, None)) is None:
        return
    outcomes = ("passed", "failed", "error", "skipped")
    reports = [r for outcome in outcomes for r in terminalreporter.getreports(outcome)]
    reports.sort(key=lambda each: each.start)
    lines = found_by_host([host.name for host in fleet.chosen], reports)
    for host, told in lines.items():
        terminalreporter.write_sep("=", host)
        for line in told:
            terminalreporter.write_line(line)
