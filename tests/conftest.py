"""The environment in which all tests run: one place that makes it clean, and says what it dropped.

`make verify` is for the Macs of whoever runs it, so that one sees their environment as it is.
"""

from __future__ import annotations

import functools
import gc
import importlib
import os
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

# What helpers assert is told in values, too. Before any of them is imported.
pytest.register_assert_rewrite(
    *(
        f"tests.{path.stem}"
        for path in Path(__file__).parent.glob("[!_.]*")
        if path.stem != "conftest"
    )
)

from tests.clients import table  # noqa: E402
from tests.e2e import one_mac  # noqa: E402
from tests.environment import clean, dropped, heed_signals  # noqa: E402

# Begun first, so that no processor waits for them in the end.
LONG = (
    *("tests/e2e/", "tests/docs/", "tests/fetcher/", "tests/checks/", "tests/workstation/"),
    *("tests/lab/", "tests/test_makefile.py", "tests/core/text/", "tests/connections/"),
)

DROPPED: pytest.StashKey[list[str]] = pytest.StashKey()


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    if config.getoption("--inventory", None):
        return
    heed_signals()
    config.stash[DROPPED] = dropped(os.environ)
    fresh = clean(os.environ)
    os.environ.clear()
    os.environ.update(fresh)
    import httpcore2  # of the clients, which `make verify` has not

    # Whom the system trusts is read once, not for each client: that took longer than its request.
    httpcore2.default_ssl_context = functools.cache(httpcore2.default_ssl_context)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """Two to each processor, of which one runs what is long; three to two of them where all is:
    with more of those, what has a time to come up in came too late now and then."""
    processors = os.cpu_count() or 1
    return min(8, processors * 3 // 2 or 2) if _all_long(config) else min(8, processors * 2)


def _all_long(config: pytest.Config) -> bool:
    return bool(config.getoption("markexpr") == "soak")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """By modules, of which those that share a Mac are as one."""
    from xdist.scheduler import LoadScopeScheduling

    class ByModule(LoadScopeScheduling):
        def _assign_work_unit(self, node: Any) -> None:
            """Every other worker begins at the end, with what is short, as that waits more."""
            if not _all_long(config) and int(node.gateway.id.removeprefix("gw")) % 2:
                self.workqueue.move_to_end(next(reversed(self.workqueue)), last=False)
            super()._assign_work_unit(node)

        def _split_scope(self, nodeid: str) -> str:
            return one_mac.scope_of(nodeid.partition("::")[0])

    return ByModule(config, log) if config.getvalue("dist") == "loadscope" else None


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    node.workerinput["whole"] = node.config.args_source is pytest.Config.ArgsSource.TESTPATHS


@pytest.hookimpl(wrapper=True)
def pytest_collection(session: pytest.Session) -> Iterator[None]:
    """What is made now stays to the end, so no collector of garbage need look at it again."""
    gc.disable()
    try:
        _import_in_shares(session.config)
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


def _import_in_shares(config: pytest.Config) -> None:
    """Of all modules each worker imports others first, and then finds rewritten what it has not:
    rewriting assertions is half of what collecting takes, in a clone that is fresh."""
    if not (worker := getattr(config, "workerinput", {})).get("whole"):
        return
    sys.dont_write_bytecode = False  # as for children (tests/environment.py)
    here = Path(__file__).parent
    files = sorted(file for file in here.rglob("test_*.py") if here / "infra" not in file.parents)
    for file in files[int(worker["workerid"].removeprefix("gw")) :: worker["workercount"]]:
        with suppress(Exception, pytest.skip.Exception):  # which collecting tells
            importlib.import_module(".".join(file.relative_to(here.parent).with_suffix("").parts))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: not item.nodeid.startswith(LONG))


def pytest_report_header(config: pytest.Config) -> str | None:
    if names := config.stash.get(DROPPED, []):
        return f"environment: without {', '.join(names)}"
    return None


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    table.show(terminalreporter)
