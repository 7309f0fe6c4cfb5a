"""The stack as a whole: its strays are stopped, its own jobs are not, and it serves."""

from typing import Any

from herd.core.mac import job_definitions
from herd.core.mac.job_definitions import LLAMA_SWAP, PROXY
from herd.operations import stack
from tests.core.samples import BUNDLE, layout
from tests.operations.harness import Run, run
from tests.operations.test_launchd import NOT_LOADED, loaded

PLACE = layout()
PROXY_URL = "http://127.0.0.1:3000"
KEY = "sk-me-0123456789"
SWAP = "/opt/homebrew/bin/llama-swap --config /Users/me/llama-swap/config.yaml"
SERVER = "/opt/homebrew/bin/llama-server --model /Users/me/llama-swap/models/m.gguf"
PYTHON = "/x/bin/python -m proxy serve --config /Users/me/llama-swap/config.json"


def definition(job: str) -> dict[str, Any]:
    return job_definitions.definition(PLACE, job, bundle=BUNDLE, depends_on={})


def strays(
    *listeners: str, swap: int | None = None, proxy: int | None = None, daemon: int | None = None
) -> Run:
    prints = {
        f"launchctl print {domain}/com.moonspirit.{name}": (
            loaded(definition(name), pid=pid) if pid else NOT_LOADED
        )
        for domain, name, pid in (
            *(("gui/501", LLAMA_SWAP, swap), ("gui/501", PROXY, proxy)),
            *(("system", LLAMA_SWAP, daemon), ("system", PROXY, None)),
        )
    }
    return run(
        stack.without_strays,
        layout=PLACE,
        bundle=BUNDLE,
        uid=501,
        answers={"listeners": "\n".join(listeners), **prints},
    )


def listens(port: int, pid: int, command: str, parent: int = 1) -> str:
    return f"port\t{port}\npid\t{pid}\t{parent}\t\t{command}"


def test_what_launchd_runs_is_no_stray_nor_are_its_children() -> None:
    found = strays(
        listens(8080, 11, SWAP),
        listens(3000, 12, PYTHON),
        listens(10001, 13, SERVER, parent=11),
        swap=11,
        proxy=12,
    )

    assert found.untouched


def test_what_launchd_runs_in_the_other_domain_is_none_until_it_has_ended_there() -> None:
    found = strays(
        listens(8080, 21, SWAP),
        listens(3000, 22, PYTHON),
        listens(10001, 23, SERVER, parent=21),
        daemon=21,
    )

    assert found.sent == ["stop-processes 22"]


def test_what_was_started_by_hand_is_stopped() -> None:
    found = strays(listens(8080, 21, SWAP), listens(3000, 22, PYTHON))

    assert found.sent == ["stop-processes 21 22"]


def test_a_llama_server_whose_llama_swap_was_killed_is_stopped() -> None:
    found = strays(listens(8080, 11, SWAP), listens(10001, 13, SERVER), swap=11)

    assert found.sent == ["stop-processes 13"]


def test_a_strangers_process_is_not_stopped() -> None:
    assert strays(listens(3000, 31, "node server.js"), "port\t8080").untouched


def test_with_nothing_running_launchd_is_not_asked() -> None:
    assert len(strays().asked) == 1
