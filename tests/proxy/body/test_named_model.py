"""Finding `model`: one meaning, or a refusal that says what to send; and what goes up says it
first."""

import email.parser
import email.policy
import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from multidict import CIMultiDict

from proxy.body.json_object import at_first_sight
from proxy.body.named_model import in_query, without_query
from proxy.http.refusal import Refused
from tests.proxy.support.body import FORM, JSON, form, needed, read

values = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(max_size=9) | st.just("model"), inner, max_size=4)
    ),
    max_leaves=10,
)
patient = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
printable = st.text(min_size=1, max_size=20).filter(str.isprintable)


@patient
@given(
    st.dictionaries(st.text() | st.sampled_from(["messages", "stream"]), values, max_size=4),
    printable,
    st.integers(0, 5),
    st.integers(1, 50),
    st.booleans(),
    st.sampled_from([None, 1, "\t"]),
)
def test_json_of_any_shape(
    rest: dict[str, Any], model: str, place: int, step: int, ascii_only: bool, indent: Any
) -> None:
    """Wherever it names its model, what goes up says the same, and names it first."""
    rest.pop("model", None)
    members = list(rest.items())
    members.insert(place, ("model", model))
    text = json.dumps(dict(members), ensure_ascii=ascii_only, indent=indent).encode()

    found, passed = read(JSON, text, step)
    assert found == model
    assert json.loads(passed) == {**rest, "model": model}
    assert passed.startswith(b'{"model":' + json.dumps(model, ensure_ascii=False).encode())
    if sight := at_first_sight(text):
        assert sight[0] == model
        assert json.loads(sight[1]) == json.loads(passed)
        assert next(iter(json.loads(sight[1]))) == "model"


pieces = st.lists(
    st.sampled_from(
        [b"{", b"}", b"[", b"]", b",", b":", b'"model"', b'"mod\\u0065l"', b'"a"', b'"\\""', b"1",
         b"-", b"01", b"1.5e3", b"true", b"nul", b"NaN", b" ", b"\n", b'"\\q"', b'"', b"\xff",
         b'{"model":"m"', b',"x":[', b'{"y":1},', b'"\xc3\xa9"', b'"\\ud800"', b"\\", b"\x00"]
    )
)  # fmt: skip


@patient
@given(pieces, st.integers(1, 9))
def test_json_is_what_the_library_takes_for_it(parts: list[bytes], step: int) -> None:
    """Nothing else is let in, by neither of the two ways."""
    text = b'{"model":"m"' + b"".join(parts)
    try:
        wanted = _strictly(text)
    except ValueError:
        wanted = None
    try:
        found: str | None = read(JSON, text, step)[0]
    except Refused:
        found = None

    assert found == wanted
    assert (at_first_sight(text) or (wanted, b""))[0] == wanted


def _strictly(text: bytes) -> str | None:
    """The one model of an object."""

    def members(pairs: list[tuple[str, Any]]) -> list[Any]:
        return [value for name, value in pairs if name == "model"]

    def constant(name: str) -> None:
        raise ValueError(name)

    found = json.loads(text.decode(), object_pairs_hook=members, parse_constant=constant)
    return found[0] if len(found) == 1 and isinstance(found[0], str) else None


def test_no_more_is_held_back_than_needed() -> None:
    """The image behind it need not be there."""
    assert needed(b'{"stream":true,"model":"m","image":"' + b"x" * 5000) == ("m", 30)


def deep(levels: int) -> bytes:
    return b'{"model":"m","x":' + b"[" * levels + b"]" * levels + b"}"


@pytest.mark.parametrize("step", [1, 3, 1000])
def test_what_is_unusual_and_plain_is_let_in(step: int) -> None:
    """However it is spelled."""
    assert read(JSON, b'{"mod\\u0065l":"\\u006d"}', step) == ("m", b'{"model":"m"}')
    assert read(JSON, b' { "a" : 1 , "model" : "m" , "b" : [ ] } \r\n', step)[0] == "m"
    assert read(JSON, b'{"x":{"model":"a"},"model":"b","Model":"c"}', step)[0] == "b"
    assert read(JSON, deep(500), step)[0] == "m"
    assert read(JSON, b'{"x":"' + b"\\n" * 40000 + b'","model":"m"}', step=step * 100)[0] == "m"


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"", "ends early"),
        (b"{}", "names no model"),
        (b'{"x":{"model":"a"}}', "names no model"),
        (b'{"Model":"a"}', "names no model"),
        (b'[{"model":"a"}]', "not a JSON object"),
        (b'x{"model":"a"}', "not a JSON object"),
        (b'\xef\xbb\xbf{"model":"a"}', "byte order mark"),
        (b'{"model":5}', "not a string"),
        (b'{"model":null}', "not a string"),
        (b'{"model":["a"]}', "not a string"),
        (b'{"model":""}', "empty"),
        (b'{"model":"a', "ends early"),
        (b'{"model":"\\ud800"}', "not a plain name"),
        (b'{"model":"a\\u0000"}', "not a plain name"),
        (b'{"model":"a\\n"}', "not a plain name"),
        (b'{"model":"' + b"x" * 600 + b'"}', "longer than 512"),
        (b'{"model":"\xff"}', "not UTF-8"),
        (b'{"model":"a","x":"\xed\xa0\x80"}', "not UTF-8"),
        (b'{"model":"a","model":"b"}', "twice"),
        (b'{"model":"a","model":"a"}', "twice"),
        (b'{"model":"a","x":1,"mode\\u006c":"b"}', "twice"),
        (b'{"model":"a"}x', "behind the end"),
        (b'{"model":"a"}{"model":"b"}', "behind the end"),
        (b'{"model":"a"}\x00', "behind the end"),
        (b'{"model":"a",}', "a name in double quotes"),
        (b'{"model":"a" "x":1}', "',' or '}'"),
        (b'{"x":(,"model":"a"}', "a value"),
        (b'{"x":[(],"model":"a","y":[)]}', "a value"),
        (b'{"x":[1,],"model":"a"}', "a value"),
        (b'{"x":{"y":1,},"model":"a"}', "a name in double quotes"),
        (b'{"x":[1},"model":"a"}', "',' or ']'"),
        (b'{"x":NaN,"model":"a"}', "a value"),
        (b'{"x":01,"model":"a"}', "a value"),
        (b'{"x":1.,"model":"a"}', "a value"),
        (b'{"x":+1,"model":"a"}', "a value"),
        (b"{'model':'a'}", "a name in double quotes"),
        (b'{"x":"\\q","model":"a"}', "an escape"),
        (b'{"x":"\n","model":"a"}', "an escape"),
        (b'{"model\\q' + b"x" * 600 + b'":"a","model":"b"}', "an escape"),
        (b'{"x":' + b"1" * 2000 + b',"model":"a"}', "400 digits"),
        (deep(513), "nested deeper"),
        (b'{"' + b"k" * 100, "ends early"),
    ],
)
@pytest.mark.parametrize("step", [1, 7, 1000])
def test_what_others_might_read_differently_is_refused(body: bytes, said: str, step: int) -> None:
    """With the reason, whoever asks."""
    with pytest.raises(Refused) as refused:
        read(JSON, body, step)
    assert refused.value.status == 400
    assert said in refused.value.message
    assert at_first_sight(body) is None


def test_model_behind_more_than_is_kept() -> None:
    """The bound is named, and how to do without."""
    with pytest.raises(Refused) as refused:
        read(JSON, b'{"x":"' + b"x" * (2**20 + 10) + b'","model":"m"}')
    assert refused.value.status == 413
    assert "first 1 MiB" in refused.value.message
    assert "'model' first" in refused.value.message


def parts_of(passed: bytes, kind: str) -> list[tuple[str, str | None, bytes]]:
    """The parts that went up, as the email package reads them."""
    text = b"Content-Type: " + kind.encode() + b"\r\n\r\n" + passed
    message = email.parser.BytesParser(policy=email.policy.HTTP).parsebytes(text)
    found = []
    for part in message.iter_parts():
        names = part["Content-Disposition"].params
        found.append((names["name"], names.get("filename"), part.get_payload(decode=True)))
    return found


FILE = ('Content-Disposition: form-data; name="file"; filename="a.wav"', b"\x00\r\n-B" * 500)
MODEL = ('Content-Disposition: form-data; name="model"', b"whisper")


@pytest.mark.parametrize("step", [1, 7, 100000])
def test_form_field_behind_a_file(step: int) -> None:
    """As curl -F file=@a.wav -F model=whisper sends it; it goes up first."""
    for body in (form(FILE, MODEL), form(MODEL, FILE)):
        model, passed = read(FORM, body, step)
        fence = passed[2 : passed.index(b"\r\n")].decode()
        assert model == "whisper"
        assert parts_of(passed, f"multipart/form-data; boundary={fence}") == [
            ("model", None, b"whisper"),
            ("file", "a.wav", FILE[1]),
        ]
        assert fence != "B"


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ('multipart/form-data; boundary="B"', form(MODEL)),
        ("Multipart/Form-Data;charset=utf-8; BOUNDARY=B", form(MODEL)),
        ('multipart/form-data; boundary="B"; charset="utf-8";', form(MODEL)),
        (FORM, form(("Content-Disposition: form-data; name=model", b"whisper"))),
        (FORM, form(("content-disposition:form-data ;NAME = model", b"whisper"))),
        (FORM, form(("Content-Type: text/plain; charset=utf-8\r\n" + MODEL[0], b"whisper"))),
        (FORM, form((MODEL[0] + "\r\nContent-Length: 7\r\nX-Any: 1", b"whisper"))),
        (FORM, form((MODEL[0].replace("; ", ";\r\n "), b"whisper"))),
        (FORM, form((MODEL[0] + "\r\nContent-Transfer-Encoding: binary", b"whisper"))),
        (FORM, form(MODEL).replace(b"--B\r\n", b"--B \t\r\n")),
        (FORM, b"\r\n" + form(MODEL)),
        (FORM, b"a preamble\r\n" + form(MODEL) + b"and an epilogue"),
        (FORM, form(MODEL, end=b"--")),
        (FORM, form(FILE, ('Content-Disposition: form-data; name="empty"', b""), MODEL)),
        (FORM, form(MODEL).replace(b"--B\r\n", b'--B\r\nContent-Disposition: form-data; name="e"'
                                   b"\r\n\r\n--B\r\n", 1)),
        (FORM, form((FILE[0].replace("filename=", "filename*=UTF-8''%C3%A9; filename="), b"x"),
                    MODEL)),
        (FORM, form(("Content-Disposition: form-data; filename*=utf-8''a; name=file", b"x"),
                    MODEL)),
        ("multipart/form-data; boundary=----=_Part/1", form(MODEL).replace(b"B", b"----=_Part/1")),
    ],
)  # fmt: skip
@pytest.mark.parametrize("step", [1, 5, 1000])
def test_forms_as_all_kinds_of_clients_write_them(kind: str, body: bytes, step: int) -> None:
    """RFC 7578, 2046 and 6266 know more than browsers do."""
    model, passed = read(kind, body, step)

    assert model == "whisper"
    fence = passed[2 : passed.index(b"\r\n")].decode()
    parts = parts_of(passed, f"multipart/form-data; boundary={fence}")
    assert parts[0] == ("model", None, b"whisper")
    assert len(parts) == body.count(b"isposition:form") + body.count(b"isposition: form")


def test_name_of_a_file_in_any_script() -> None:
    """`filename*` is meant for those who can read it; what goes up says it plainly."""
    head = "Content-Disposition: form-data; name=f; filename=e; filename*=UTF-8''%C3%A9%22%5C"
    assert 'name="f"; filename="é%22%5C"'.encode() in read(FORM, form((head, b""), MODEL))[1]


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"", "no part"),
        (form(FILE), "no field 'model'"),
        (form((MODEL[0] + '; filename="x"', b"a")), "as a file"),
        (form((MODEL[0] + '; filename=""', b"a"), MODEL), "as a file"),
        (form((MODEL[0] + "; filename*=utf-8''", b"a"), MODEL), "as a file"),
        (form(MODEL, MODEL), "twice"),
        (form(MODEL, ("Content-Disposition: form-data; name=model", b"b")), "twice"),
        (form(("Content-Disposition: form-data; name*=utf-8''model", b"b"), MODEL), "no name"),
        (form((MODEL[0] + "; name*=utf-8''other", b"b"), MODEL), "more than one way"),
        (form((MODEL[0] + "; name=other", b"b"), MODEL), "no name"),
        (form((MODEL[0] + "\r\n" + FILE[0], b"b"), MODEL), "or it twice"),
        (form(('Content-Disposition: form-data; name="mod\\el"', b"b"), MODEL), "more than one"),
        (form(('Content-Disposition: attachment; name="model"', b"b")), "no name"),
        (form(("Content-Disposition: form-data", b"b"), MODEL), "no name"),
        (form((MODEL[0] + "\r\nContent-Transfer-Encoding: quoted-printable", b"=61")), "Transfer"),
        (form((MODEL[0] + "\r\nContent-Type: text/plain; charset=utf-16", b"b")), "not UTF-8"),
        (form((MODEL[0] + "\r\nContent-Disposition : form-data; name=x", b"b")), "no header"),
        (form((MODEL[0] + "\0", b"b")), "no header"),
        (form((MODEL[0], b"\xff")), "not UTF-8"),
        (form((MODEL[0], b"a\n")), "not a plain name"),
        (form((MODEL[0], b"")), "empty"),
        (form((MODEL[0], b"x" * 600)), "longer than 512"),
        (form(("X: " + "y" * 9000, b"")), "8192"),
        (form(MODEL, end=b" x\r\n"), "something else in its line"),
        (form(MODEL, end=b"--x"), "something else in its line"),
        (form(MODEL, end=b"\r\n"), "ends early"),
        (form(MODEL)[:-4], "ends early"),
        (form(MODEL).replace(b"\r\n", b"\n"), "LF"),
        (form(MODEL).replace(b"--B", b"--C"), "no part"),
        (form(("", b"x"), MODEL), "no head"),
    ],
)
@pytest.mark.parametrize("step", [1, 1000])
def test_form_that_others_might_read_differently(body: bytes, said: str, step: int) -> None:
    """Go's reader knows more ways to write a form than clients use."""
    with pytest.raises(Refused) as refused:
        read(FORM, body, step)
    assert refused.value.status == 400
    assert said in refused.value.message


def test_form_beyond_what_llama_swap_reads() -> None:
    """Go gives up behind a thousand parts; who is told so can do something about it."""
    many = [(f"Content-Disposition: form-data; name=f{number}", b"") for number in range(1001)]
    with pytest.raises(Refused) as refused:
        read(FORM, form(MODEL, *many), 10000)
    assert refused.value.status == 413
    assert "1000 parts" in refused.value.message
    assert read(FORM, form(MODEL, *many[:999]), 10000)[0] == "whisper"


@pytest.mark.parametrize(
    "kind",
    [
        "multipart/form-data",
        "multipart/form-data; boundary=",
        "multipart/form-data; boundary=\x01",
        "multipart/form-data; boundary=" + "b" * 71,
        'multipart/form-data; boundary="a<b"',
    ],
)
def test_form_without_a_boundary(kind: str) -> None:
    """Or with two, or with one that is none."""
    with pytest.raises(Refused) as refused:
        read(kind, form(MODEL))
    assert "boundary" in refused.value.message


@pytest.mark.parametrize(
    "kind",
    [
        JSON,
        "Application/JSON",
        "application/json; charset=UTF-8",
        'application/json;charset="utf8"',
        None,
        "",
        "text/plain",
        "text/json",
        "application/vnd.api+json",
        "application/octet-stream",
        "application/x-www-form-urlencoded",
        "application/json, text/plain",
        "multipart/mixed",
    ],
)
def test_json_by_any_other_name(kind: str | None) -> None:
    """It is JSON beyond doubt; and if it is not, that is said."""
    assert read(kind, b'{"model":"m"}')[0] == "m"
    status = 400 if (kind or "").lower().split(";")[0] == JSON else 415
    for body in (b"&model=secret&", b'{"model":"m"}&model=secret&', b"", b'{"model":"m",}'):
        with pytest.raises(Refused) as refused:
            read(kind, body)
        assert refused.value.status == status
        assert status == 400 or "application/json" in refused.value.message


def test_json_in_another_charset() -> None:
    """Nobody here could read it."""
    with pytest.raises(Refused) as refused:
        read("application/json; charset=utf-16", b'{"model":"m"}')
    assert refused.value.status == 415
    assert "charset 'utf-16', but JSON is UTF-8" in refused.value.message


@pytest.mark.parametrize(
    ("query", "model"),
    [
        ("model=a", "a"),
        ("x=1&model=org%2Fa", "org/a"),
        ("mod%65l=a+b", "a b"),
        ("Model=b&model=a", "a"),
        ("model=a&model=b", None),
        ("model=a&mode%6C=b", None),
        ("model=a%zz", None),
        ("model=a&x=%", None),
        ("model=a;model=b", None),
        ("model=%ff", None),
        ("model=%00", None),
        ("model=", None),
        ("model", None),
        ("", None),
    ],
)
def test_query(query: str, model: str | None) -> None:
    """One, or none."""
    if model is not None:
        assert in_query(query, CIMultiDict()) == model
    else:
        with pytest.raises(Refused):
            in_query(query, CIMultiDict())


def test_get_has_no_body() -> None:
    """llama-swap reads that of a HEAD."""
    for header in ({"Content-Length": "3"}, {"Transfer-Encoding": "chunked"}):
        with pytest.raises(Refused):
            in_query("model=a", CIMultiDict(header))
    assert in_query("model=a", CIMultiDict({"Content-Length": "0"})) == "a"


@pytest.mark.parametrize("query", ["model=a", "model", "mod%65l=", "a=b&model=a", "a;model=b", "%"])
def test_query_beside_a_body_names_no_model(query: str) -> None:
    """Which of the two counts depends on the form."""
    with pytest.raises(Refused) as refused:
        without_query(query)
    assert refused.value.status == 400


@pytest.mark.parametrize(
    "query", ["", "beta=true", "api-version=2024-10-21", "a=%20+&b", "models=1"]
)
def test_query_of_another_kind_passes(query: str) -> None:
    """Clients of other services send some."""
    without_query(query)
