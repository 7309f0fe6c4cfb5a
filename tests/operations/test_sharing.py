"""Verified files for the other Macs: the key of a run, and the proxy that takes it."""

import json
from datetime import UTC, datetime

import pytest

from herd.core.mac.job_definitions import PROXY
from herd.core.models.missing_files import Holdings
from herd.operations import models, sharing
from proxy.keys.key import digest_of
from proxy.keys.keys_file import parse_keys
from tests.core.samples import BUNDLE, layout
from tests.operations.harness import Run, hidden, leaks, run
from tests.operations.test_launchd import NOT_LOADED
from tests.operations.test_models import MODEL
from tests.operations.test_stack import PYTHON, listens

KEY = "this-runs-key-0123456789-abcdefghijkl"


@pytest.fixture
def lacking(monkeypatch: pytest.MonkeyPatch) -> dict[str, Holdings]:
    """What was seen of hosts."""
    seen: dict[str, Holdings] = {}

    def any_lacking(wanted: dict[str, list[object]], _: object) -> bool:
        return any(models.lacking([MODEL], seen[name]) for name in wanted if name in seen)

    monkeypatch.setattr(sharing, "any_lacking", any_lacking)
    return seen


def opened(*listeners: str, autostart: str = "background") -> Run:
    return run(
        sharing.opened,
        layout=layout(launchd_autostart=autostart),
        bundle=BUNDLE,
        uid=501,
        key=hidden(KEY),
        site={"@fake/mac": [MODEL], "other": [MODEL]},
        directory_of=lambda name: f"/{name}/models",
        answers={
            "listeners": "\n".join(listeners),
            "launchctl print": NOT_LOADED,
            "state": "absent",
        },
    )


def test_while_nobody_lacks_files_nothing_is_asked_or_sent(lacking: dict[str, Holdings]) -> None:
    found = opened()

    assert found.untouched
    assert found.asked == []


def test_when_another_lacks_files_its_key_is_taken_and_the_proxy_runs(
    lacking: dict[str, Holdings],
) -> None:
    lacking["other"] = Holdings()
    place = layout()
    found = opened()
    (key,) = parse_keys(found.uploads[f"{place.peers}.new"]).entries

    assert key.digest == digest_of(KEY)
    assert key.expires is not None
    assert 23 < (key.expires - datetime.now(UTC).timestamp()) / 3600 <= 24
    assert f"chmod 600 {place.peers}.new && mv -f {place.peers}.new {place.peers}" in found.sent
    assert any(sent.startswith(f"job-load gui/501 {place.label(PROXY)} ") for sent in found.sent)
    assert found.sent[-1].startswith("curl -sk ")
    assert found.sent[-1].endswith(" http://127.0.0.1:3000/healthz || :")
    assert leaks(found, KEY) == []
    assert KEY not in json.dumps(found.uploads)


def test_a_hand_run_stack_keeps_its_port_until_its_turn(lacking: dict[str, Holdings]) -> None:
    lacking["other"] = Holdings()
    found = opened(listens(3000, 12, PYTHON))

    assert not any("job-load" in sent for sent in found.sent)
    assert f"{layout().peers}.new" in found.uploads


@pytest.mark.parametrize("autostart", ["terminal", "off"])
def test_what_is_not_to_run_in_the_background_is_not_started(
    lacking: dict[str, Holdings], autostart: str
) -> None:
    lacking["@fake/mac"] = Holdings()
    found = opened(autostart=autostart)

    assert found.changed
    assert not any("job-load" in sent for sent in found.sent)
