"""What was deployed is noted when it is something else, and left alone when it is not."""

import json
from typing import Any

import pytest

from herd.core.mac.archives import bundle
from herd.core.mac.deploy_record import Deployed, digest, parse
from herd.operations import deploy_record
from herd.workstation.who_deploys import WhoDeploys
from tests.core.samples import layout, resolved
from tests.operations.harness import Run, run

LINKED = "for link in"
LINKS = ["../Cellar/llama.cpp/0.9.0/bin/llama-server", "../Cellar/llama-swap/250/bin/llama-swap"]
WHO = WhoDeploys("anna@desk", "0123456789ab", "ba9876543210+")


def noted(there: str = "", links: list[str] = LINKS, **own: Any) -> Run:
    here = layout(**own)
    return run(
        deploy_record.noted,
        here,
        bundle(),
        models=[resolved()],
        who=WHO,
        answers={LINKED: links, "! [ -f": there},
    )


def written(found: Run) -> dict[str, Any]:
    (text,) = found.stdin
    return dict(json.loads(text))


def test_what_was_deployed_is_noted_with_who_when_and_which() -> None:
    found = written(noted())

    assert found["when"][-1] == "Z"
    assert {name: found[name] for name in ("by", "toolkit", "herd", "schema", "versions")} == {
        "by": "anna@desk",
        "toolkit": "0123456789ab",
        "herd": "ba9876543210+",
        "schema": 1,
        "versions": {"llama.cpp": "0.9.0", "llama-swap": "250", "proxy": bundle().release},
    }


def test_it_is_for_its_owner_only_and_whole_or_not_there() -> None:
    path = "/Users/me/llama-swap/last-deploy.json"

    assert noted().sent == [f"umask 077 && cat > {path}.new && mv -f {path}.new {path}"]


def test_the_same_again_is_left_alone_whoever_deploys_it() -> None:
    before = written(noted())
    by_another = json.dumps(before | {"by": "ben@lap", "toolkit": "x", "herd": "", "when": "then"})

    assert noted(by_another).untouched


@pytest.mark.parametrize(
    "there", ["", "{", "[]", '{"schema": 1}', '{"settings": "x", "versions": 3}'], ids=str
)
def test_without_a_record_that_can_be_read_there_is_a_new_one(there: str) -> None:
    found = noted(there)

    assert written(found)["schema"] == 1
    assert (found.changed, found.planned) == (False, False), "it is no change of the Mac"


def test_another_version_or_setting_is_another_deploy() -> None:
    before = json.dumps(written(noted()))

    assert noted(before, links=[LINKS[0], LINKS[1].replace("250", "251")]).sent
    assert noted(before, proxy_port=3001).sent


def test_a_record_is_read_as_it_was_written() -> None:
    want = Deployed("d", {"proxy": "p"}, "t", "h", "2026-11-29T03:45:00Z", "anna@desk")

    assert parse(want.text) == want


def test_the_digest_is_of_settings_and_of_files() -> None:
    one, files = layout().settings, [resolved()]
    others = [resolved([("other.gguf", 100)])]

    assert digest(one, files) == digest(layout().settings, files)
    assert digest(one, files) != digest(layout(proxy_port=3001).settings, files)
    assert digest(one, files) != digest(one, others)
