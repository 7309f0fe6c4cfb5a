"""What a gateway is told of the others: their keys' hashes, kept where nobody tells them anew."""

import hashlib
import json

from herd.core.gateway.fleet import Mac
from herd.operations import gateway
from tests.core.samples import layout
from tests.operations.harness import Run, run

OTHER = Mac("gw2", "10.0.0.2", 3100)
PATH = "/Users/me/llama-swap/gateway/others.json"
HASH = hashlib.sha256(b"its key").hexdigest()


def others(there: str, *gateways: Mac) -> Run:
    """`gw2` is not of this run."""
    state = "absent"
    if there:
        state = f"file 600 {hashlib.sha256(there.encode()).hexdigest()}"
    return run(
        gateway.others,
        layout=layout(),
        gateways=gateways,
        key_of=lambda name: f"/{name}/gateway.key",
        answers={"state": state, "( test -e": there},
    )


def wanted(**keys: str) -> str:
    entries = [{"name": f"gateway-{name}", "sha256": digest} for name, digest in keys.items()]
    urls = {"gateway-gw2": "http://10.0.0.2:3100"}
    return json.dumps({"apiKeys": entries, "urls": urls}, indent=2) + "\n"


def test_one_that_is_not_of_this_run_is_asked_before_its_key_is_known() -> None:
    assert list(others("", OTHER).uploads.values()) == [wanted()]


def test_what_is_known_of_it_stays() -> None:
    assert others(wanted(gw2=HASH), OTHER).untouched


def test_one_that_is_at_another_place_keeps_its_key() -> None:
    before = wanted(gw2=HASH).replace("10.0.0.2", "10.0.0.3")

    assert list(others(before, OTHER).uploads.values()) == [wanted(gw2=HASH)]


def test_one_that_is_none_any_more_is_let_in_no_more() -> None:
    found = others(wanted(gw2=HASH, gw3=HASH), OTHER)

    assert list(found.uploads.values()) == [wanted(gw2=HASH)]


def test_one_alone_has_no_such_file() -> None:
    assert others("").untouched
    assert others(wanted(gw2=HASH)).sent == [f"rm -f {PATH}"]
