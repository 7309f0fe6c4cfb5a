"""Requests go where the model is loaded, while there are slots, and by weight among those."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from herd.core.gateway.fleet import Pool, Share
from tests.gateway.gateway import Running, chat, eventually, running, version

NAMES = [f"mac{n}" for n in range(1, 5)]
POOL = "model.big"


@pytest.fixture(scope="module")
def four(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """Four Macs of two slots, of which mac4 shall have a quarter of what each other has."""
    weights = [100, 100, 100, 25]
    folder: Path = tmp_path_factory.mktemp("warm")
    with running(folder, {"big": dict.fromkeys(NAMES, 2)}) as gateway:
        shares = gateway.gateway.pools[0].shares
        weighted = [Share(s.mac, s.slots, w) for s, w in zip(shares, weights, strict=True)]
        gateway.gateway = replace(gateway.gateway, pools=[Pool(["big"], weighted)])
        gateway.reload()
        yield gateway


@pytest.fixture
def herd(four: Running) -> Running:
    four.reset()
    loaded(four, *NAMES)
    return four


def loaded(herd: Running, *names: str) -> None:
    """The model is loaded on these, and HAProxy knows."""
    for mac in herd.macs.values():
        mac.cold = set() if mac.name in names else {"big"}
    share = {s.mac.name: s for s in herd.gateway.pools[0].shares}
    want = {n: str(s.weight if n in names else s.least) for n, s in share.items()}

    def is_so() -> bool:
        there = herd.stat("weight", POOL)
        return {name: there[name] for name in names_of(there)} == want

    eventually(is_so, f"weights are {want}: {herd.stat('weight', POOL)}")


def names_of(there: dict[str, str]) -> list[str]:
    return [name for name in there if name != "BACKEND"]


def served(herd: Running, count: int) -> Counter[str]:
    """By whom so many conversations were, one after the other."""
    return Counter(herd.turn(chat(text=f"conversation {n}")).by for n in range(count))


def test_the_only_warm_copy_is_asked_first(herd: Running) -> None:
    loaded(herd, "mac2")

    assert served(herd, 40)["mac2"] >= 32


def test_when_its_slots_are_taken_a_cold_one_is_asked_at_once(herd: Running) -> None:
    loaded(herd, "mac2")
    herd["mac2"].held = True
    streams = []
    while len(herd["mac2"].asked) < 2:
        text = f"held {len(streams)}"
        streams.append(herd.open(chat(text=text)))
        eventually(lambda: len(herd.asked()) == len(streams), "it was asked")

    for n in range(6):
        answer = herd.ask(chat(text=f"more {n}"))
        assert (answer.status, answer.by != "mac2") == (200, True)


def test_two_warm_copies_share_it_and_keep_their_conversations(herd: Running) -> None:
    loaded(herd, "mac1", "mac3")

    first = {n: herd.turn(chat(text=f"mine {n}")).by for n in range(30)}
    again = {n: herd.turn(chat(text=f"mine {n}")).by for n in range(30)}

    count = Counter(first.values())
    assert min(count["mac1"], count["mac3"]) >= 6
    assert count["mac1"] + count["mac3"] >= 24
    assert again == first


def test_where_no_copy_is_warm_somebody_loads_it(herd: Running) -> None:
    """Before 3.2 that is the first, as all of them have no slot that is warm."""
    loaded(herd)

    count = served(herd, 24)

    assert len(count) >= 2 if version() >= (3, 2) else list(count) == ["mac1"]


def test_weights_are_what_each_mac_can_do(herd: Running) -> None:
    count = served(herd, 120)

    assert count["mac4"] < min(count[name] for name in NAMES[:3])
    assert all(count[name] >= 15 for name in NAMES[:3])


@pytest.mark.parametrize(("word", "state"), [("drain", "DRAIN"), ("down", "DOWN")])
def test_a_word_that_was_for_another_question_does_not_stay(
    herd: Running, word: str, state: str
) -> None:
    """HAProxy keeps what it is not told anew: a Mac's word that it is drained, as the answer to
    whether a model is loaded, would keep it out of that model's pool for ever."""
    herd["mac2"].misplaced = word
    herd.until("mac2", state, POOL)
    assert herd.states()["mac2"] == "UP"

    herd["mac2"].misplaced = ""

    herd.until("mac2", "UP", POOL)
