"""Finding `model`: what llama-swap would find, or nothing, in as little as possible."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.model import in_query, search_for

JSON = "application/json"
FORM = "multipart/form-data; boundary=B"


def found(body: bytes, kind: str = JSON, step: int = 1000, query: str = "") -> tuple[Any, int]:
    """The model, and how much of the body was needed."""
    search = search_for("POST", query, [kind])
    assert search
    at = 0
    while True:
        at += step
        if search.feed(body[at - step : at], at >= len(body)):
            return search.model, min(at, len(body))


values = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.just("model"), inner),
    max_leaves=10,
)


@given(
    st.dictionaries(st.text() | st.sampled_from(["messages", "stream"]), values),
    st.none() | st.text(min_size=1, max_size=20),
    st.integers(1, 50),
    st.booleans(),
)
def test_json_of_any_shape(
    rest: dict[str, Any], model: str | None, step: int, ascii_only: bool
) -> None:
    """Only a string in the outermost object counts."""
    rest.pop("model", None)
    body = rest if model is None else {**rest, "model": model}

    text = json.dumps(body, ensure_ascii=ascii_only).encode()
    assert found(text, step=step)[0] == model


def test_no_more_is_held_back_than_needed() -> None:
    """The image behind it need not be there."""
    assert found(b'{"stream":true,"model":"m","image":"' + b"x" * 5000, step=10) == ("m", 30)


def test_first_of_two_counts_as_it_does_for_llama_swap() -> None:
    """gjson takes the first."""
    assert found(b'{"model":"a","model":"b"}')[0] == "a"
    assert found(b'{"x":1,"model":"a","model":"b"}')[0] == "a"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        b'[{"model":"a"}]',
        b'x{"model":"a"}',
        b'\xef\xbb\xbf{"model":"a"}',
        b'{"model":5}',
        b'{"model":""}',
        b'{"model":"a',
        b'{"model":"\\ud800"}',
        b'{"model":"\xff"}',
        b'{"Model":"a"}',
        b'{"x":{"model":"a"}}',
        b'{"x":(,"model":"a"}',
        b'{"x":[(],"model":"a","y":[)]}',
        b'{"x":1 "model":"a"}',
        b'{"x":,"model":"a"}',
        b'{"x":"\\"model":"a"}',
        b'{"' + b"k" * 100,
    ],
)
@pytest.mark.parametrize("step", [1, 1000])
def test_what_others_might_read_differently_is_none(body: bytes, step: int) -> None:
    """A key with a list of models does not get past it."""
    assert found(body, step=step)[0] is None


def form(*parts: tuple[str, bytes], end: bytes = b"--\r\n") -> bytes:
    fields = [b"--B\r\n" + head.encode() + b"\r\n\r\n" + text + b"\r\n" for head, text in parts]
    return b"".join(fields) + b"--B" + end


FILE = ('Content-Disposition: form-data; name="file"; filename="a.wav"', b"\x00\r\n-B" * 500)
MODEL = ('Content-Disposition: form-data; name="model"', b"whisper")


@pytest.mark.parametrize("step", [1, 7, 100000])
def test_form_field_behind_a_file(step: int) -> None:
    """As curl -F file=@a.wav -F model=whisper sends it."""
    assert found(form(FILE, MODEL), FORM, step)[0] == "whisper"
    assert found(form(MODEL, FILE), FORM, step)[0] == "whisper"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        form(FILE),
        form(('Content-Disposition: form-data; name="model"; filename="x"', b"a")),
        form(("Content-Disposition: form-data; name*=utf-8''model", b"bad"), MODEL),
        form((MODEL[0] + "\r\nContent-Transfer-Encoding: quoted-printable", b"=61"), MODEL),
        form(("Content-Disposition: form-data; name=model", b"bad"), MODEL),
        form(MODEL, end=b" \r\n"),
        b"preamble\r\n" + form(MODEL),
        form(MODEL).replace(b"\r\n", b"\n"),
        form((MODEL[0], b"x" * 600)),
    ],
)
def test_form_that_others_might_read_differently_has_no_model(body: bytes) -> None:
    """Go's reader knows more ways to write a form than clients use."""
    assert found(body, FORM)[0] is None


def test_form_in_a_plain_body() -> None:
    """Also percent-encoded."""
    kind = "application/x-www-form-urlencoded"

    assert found(b"a=b&mod%65l=x+y%2Fz", kind)[0] == "x y/z"
    assert found(b"model=a&model=b", kind)[0] is None


def test_query_and_form_together_are_not_searched() -> None:
    """Which of them counts depends on the form."""
    assert search_for("POST", "model=a", [FORM]) is None
    assert search_for("POST", "model=a", [JSON]) is not None
    assert search_for("GET", "", [JSON]) is None
    assert search_for("POST", "", [JSON, FORM]) is None
    assert search_for("POST", "", ["text/plain"]) is None


@pytest.mark.parametrize(
    ("query", "model"),
    [
        ("model=a", "a"),
        ("x=1&model=org%2Fa", "org/a"),
        ("mod%65l=a", "a"),
        ("model=a&model=b", None),
        ("model=a%zz&model=b", None),
        ("model=a;model=b", None),
        ("model=", None),
        ("", None),
    ],
)
def test_query(query: str, model: str | None) -> None:
    """One, or none."""
    assert in_query(query) == model
