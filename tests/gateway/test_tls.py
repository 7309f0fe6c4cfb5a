"""A Mac with a certificate is believed for the name it is reached by, and for no other."""

import time
from pathlib import Path

from tests.gateway.gateway import chat, eventually, running
from tests.proxy.support.tls import make


def states_for(tmp_path: Path, name: str, trusted: str = "pair") -> str:
    """What becomes of a Mac at `localhost` whose certificate says `name`."""
    for folder in ("pair", "other"):
        (tmp_path / folder).mkdir()
        make(tmp_path / folder, name)
    (tmp_path / "authorities.pem").write_bytes((tmp_path / trusted / "cert.pem").read_bytes())
    with running(
        *(tmp_path, {"big": {"mac1": 1}}),
        pair=tmp_path / "pair", vouched=True, known=("UP", "DOWN"),
    ) as herd:  # fmt: skip
        eventually(lambda: "L" in herd.stat("check_status")["mac1"], "it was looked at")
        time.sleep(0.5)  # three checks that fail, two that are good
        (state,) = herd.states().values()
        answer = herd.ask(chat())
        assert (answer.status == 200) == bool(herd.asked()) == (state == "UP")
        return state


def test_a_mac_is_believed_by_its_name(tmp_path: Path) -> None:
    assert states_for(tmp_path, "localhost") == "UP"


def test_it_is_not_for_another_name(tmp_path: Path) -> None:
    assert states_for(tmp_path, "studio.local") == "DOWN"


def test_nor_is_one_that_nobody_vouches_for(tmp_path: Path) -> None:
    assert states_for(tmp_path, "localhost", trusted="other") == "DOWN"
