"""Which Macs of a run share models, and how they reach each other."""

import dataclasses
from typing import Any

from herd.core.models.fetch_request import Peers
from herd.core.models.missing_files import File
from herd.core.models.sharing import Sharing
from tests.core.samples import resolved, settings

BIG, SMALL = (
    dataclasses.replace(resolved(), name=name, files=(File("m.gguf", 9, name[0] * 64),))
    for name in ("big", "small")
)
EVERYBODY = ["a", "b", "c"]


def sharing(**hosts: dict[str, Any]) -> Sharing:
    """Three hosts of one site with the same model, but for what is said of each."""
    named = {name: hosts.get(name, {}) for name in EVERYBODY}
    models = {name: data.pop("has", [BIG]) for name, data in named.items()}
    found = {name: settings(**data) for name, data in named.items()}
    return Sharing(found, models, {name: f"http://{name}:3000" for name in named}, "the key")


def test_the_macs_of_one_site_share() -> None:
    found = sharing()

    assert found.site("a", EVERYBODY) == {"a": [BIG], "b": [BIG], "c": [BIG]}
    assert found.peers("b", EVERYBODY) == Peers(
        "b", {"a": "http://a:3000", "c": "http://c:3000"}, "the key"
    )


def test_a_mac_alone_shares_with_nobody() -> None:
    found = sharing()

    assert found.site("a", ["a"]) == {}
    assert found.peers("a", ["a"]) is None


def test_a_mac_that_is_not_in_this_run_is_not_waited_for() -> None:
    found = sharing().peers("a", ["a", "c"])

    assert found
    assert list(found.others) == ["c"]


def test_another_site_is_too_far() -> None:
    found = sharing(b={"site": "london"})

    assert list(found.site("a", EVERYBODY)) == ["a", "c"]
    assert found.site("b", EVERYBODY) == {}


def test_a_mac_that_takes_no_part_neither_gives_nor_asks() -> None:
    found = sharing(b={"models_share": False})

    assert list(found.site("a", EVERYBODY)) == ["a", "c"]
    assert found.peers("b", EVERYBODY) is None


def test_only_who_wants_the_same_bytes_is_asked_for_them() -> None:
    found = sharing(a={"has": [BIG, SMALL]}, b={"has": [SMALL]}, c={"has": [BIG]})

    asked = {name: found.peers(name, EVERYBODY) for name in EVERYBODY}

    assert {name: list(peers.others) for name, peers in asked.items() if peers} == {
        "a": ["b", "c"],
        "b": ["a"],
        "c": ["a"],
    }


def test_each_run_has_a_key_of_its_own() -> None:
    one, other = (Sharing({}, {}, {}) for _ in range(2))

    assert one.key != other.key
    assert len(one.key) >= 32
    assert one.key not in repr(one)


def test_what_goes_along_is_shared_by_macs_whose_models_are_others() -> None:
    draft = dataclasses.replace(SMALL, directory="draft-GGUF")
    one = dataclasses.replace(BIG, elsewhere=(draft,))
    other = dataclasses.replace(
        resolved(), files=(File("o.gguf", 9, "0" * 64),), elsewhere=(draft,)
    )
    found = sharing(a={"has": [one]}, b={"has": [other]}, c={"has": [BIG]}).peers("b", EVERYBODY)

    assert found
    assert list(found.others) == ["a"]
