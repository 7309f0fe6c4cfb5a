"""Bodies cut at every place: none is whole, whatever was found in it, and nothing breaks."""

import pytest

from proxy.http.refusal import Refused
from tests.proxy.support.attack import BODIES
from tests.proxy.support.body import read

NESTED = (
    b'{"a": [{"b": "]\\"}", "c": [-1.5e3, true, null]}, "d"], "e": {"f": {}}, "model": "gpt-oss"}'
)
ALL = [*BODIES, ("application/json", NESTED)]


@pytest.mark.parametrize(("kind", "body"), ALL, ids=range(len(ALL)))
@pytest.mark.parametrize("step", [1, 7, 10_000])
def test_body_cut_anywhere_is_refused(kind: str, body: bytes, step: int) -> None:
    """Its end never goes up."""
    end = 2 if kind.startswith("multipart") else 0  # the last line end is nothing to a form
    for size in range(len(body) - end):
        with pytest.raises(Refused):
            read(kind, body[:size], step)
