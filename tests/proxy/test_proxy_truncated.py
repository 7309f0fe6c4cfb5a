"""Bodies cut at every place: they name their model or none, and break nothing."""

import pytest
from attack_support import BODIES

from proxy.model import search_for

NESTED = (
    b'{"a": [{"b": "]\\"}", "c": [-1.5e3, true, null]}, "d"], "e": {"f": {}}, "model": "gpt-oss"}'
)
ALL = [*BODIES, ("application/json", NESTED)]


def model_in(kind: str, body: bytes, step: int) -> str | None:
    search = search_for("POST", "", [kind])
    if search is None:
        return None
    for at in range(0, len(body), step):
        if search.feed(body[at : at + step], False):
            return search.model
    search.feed(b"", True)
    return search.model


@pytest.mark.parametrize(("kind", "body"), ALL, ids=range(len(ALL)))
@pytest.mark.parametrize("step", [1, 7, 10_000])
def test_body_cut_anywhere_names_its_model_or_none(kind: str, body: bytes, step: int) -> None:
    """A name that is cut is none, and neither is anything else."""
    whole = model_in(kind, body, step)
    plain = kind.startswith("application/x-www")  # there, a name that is cut is a shorter one

    for size in range(len(body)):
        found = model_in(kind, body[:size], step)
        assert found in (whole, None) or (plain and b"model=" + found.encode() in body)
