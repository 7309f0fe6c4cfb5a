"""The text of models.lock: stable, readable in a diff, and refused in words when it is wrong."""

import difflib
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from herd.core.models.models_lock import File, Lock, Locked, LockedPart, Terms, change, dump, parse
from tests.core.samples import one_model

COMMIT, OTHER = "c0ffee" * 6 + "c0ff", "f" * 40


def locked(name: str = "tiny", files: Any = (("m.gguf", 5),), **fields: Any) -> Locked:
    entries = [File(path=p, size=s, sha256=f"{s:064x}") for p, s in files]
    values: dict[str, Any] = {
        "name": name,
        "repo": "me/tiny-GGUF",
        "revision": "main",
        "include": ["*.gguf"],
        "commit": COMMIT,
        "first": entries[0].path,
        "files": entries,
        "gguf": {"general.architecture": "llama", "llama.attention.head_count_kv": [8] * 40},
    }
    return Locked(**{**values, **fields})


SPLITS = [(f"q/m-{n:05d}-of-00003.gguf", n) for n in (1, 2, 3)]


def test_the_text_is_this() -> None:
    model = locked(gguf={"general.architecture": "llama", "x": {"y": [1, 2.5, True, None]}})

    assert (
        dump(Lock(models=[model]))
        == f"""\
{{
  "version": 2,
  "models": [
    {{
      "name": "tiny",
      "repo": "me/tiny-GGUF",
      "revision": "main",
      "include": ["*.gguf"],
      "commit": "{COMMIT}",
      "first": "m.gguf",
      "files": [
        {{
          "path": "m.gguf",
          "size": 5,
          "sha256": "{5:064x}"
        }}
      ],
      "gguf": {{
        "general.architecture": "llama",
        "x": {{
          "y": [1, 2.5, true, null]
        }}
      }}
    }}
  ]
}}
"""
    )


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    # JSON has no lone surrogates.
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text("ab.é"), inner, max_size=4),
)


@settings(deadline=None)
@given(st.dictionaries(st.text("ab.é"), VALUES, max_size=4))
def test_it_is_json_and_comes_back_the_same(gguf: dict[str, Any]) -> None:
    lock = Lock(models=[locked(gguf=gguf)])
    text = dump(lock)

    assert parse(text) == lock
    assert dump(parse(text)) == text
    assert json.loads(text)["models"][0]["gguf"] == gguf


def test_the_order_of_models_does_not_matter() -> None:
    models = [locked("b"), locked("a"), locked("a", revision="v2"), locked("é 🦙")]

    assert dump(Lock(models=models)) == dump(Lock(models=models[::-1]))


def test_a_new_commit_of_one_file_is_a_diff_of_three_lines() -> None:
    before = dump(Lock(models=[locked("a", SPLITS), locked("b")]))
    after = dump(
        Lock(models=[locked("a", [*SPLITS[:2], (SPLITS[2][0], 9)], commit=OTHER), locked("b")])
    )
    lines = list(difflib.ndiff(before.splitlines(), after.splitlines()))

    assert [line.split(":")[0].split()[1] for line in lines if line.startswith("+ ")] == [
        '"commit"',
        '"size"',
        '"sha256"',
    ]


def test_the_order_of_patterns_means_nothing() -> None:
    one = Terms.of(one_model(include=["a*", "b*"]).models["tiny"])
    other = Terms.of(one_model(include=["b*", "a*", "b*"]).models["tiny"])

    assert one == other
    lock = Lock(models=[locked(include=["b*", "a*"])])
    assert lock.find("tiny", one) is lock.models[0]


def test_one_name_under_two_terms_are_two_models() -> None:
    lock = parse(dump(Lock(models=[locked(include=["*Q4*"]), locked(include=["*Q8*"])])))

    assert len(lock.named("tiny")) == 2
    assert lock.find("tiny", locked(include=["*Q8*"]).terms) is lock.models[1]
    assert lock.find("tiny", locked(include=["*Q5*"]).terms) is None


def test_its_files_are_what_a_deploy_fetches() -> None:
    resolved = locked(files=SPLITS).resolved("https://hub.example")

    assert (resolved.directory, resolved.first) == ("tiny-GGUF", SPLITS[0][0])
    assert [(f.path, f.size) for f in resolved.files] == SPLITS
    assert resolved.files[2].sha256 == f"{3:064x}"
    assert resolved.url(resolved.files[0]).startswith(
        f"https://hub.example/me/tiny-GGUF/resolve/{COMMIT}/"
    )
    assert resolved.gguf["general.architecture"] == "llama"


def broken(**fields: Any) -> str:
    """A lock's text with these fields of its model."""
    data = json.loads(dump(Lock(models=[locked()])))
    data["models"][0].update(fields)
    return json.dumps(data)


def file(**fields: Any) -> list[dict[str, Any]]:
    return [{"path": "m.gguf", "size": 5, "sha256": "0" * 64, **fields}]


ENTRY = json.loads(dump(Lock(models=[locked()])))["models"][0]


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "is no JSON: line 1"),
        ('{\n"models": [}\n', "is no JSON: line 2"),
        ('{\n<<<<<<< HEAD\n"models": []}', "holds a merge conflict"),
        ('{"version": 3, "models": []}', "has version 3 and this toolkit reads 2: "),
        ("[]", "should be a valid dictionary"),
        ('{"models": {}}', "models: Input should be a valid list"),
        ('{"models": [1]}', "models.0: "),
        ('{"models": [], "modles": []}', "modles: Extra inputs are not permitted"),
        (broken(commit="main"), "tiny.commit: String should match"),
        (broken(extra=1), "tiny.extra: Extra inputs"),
        (broken(files=[]), "tiny.files: "),
        (broken(files=file(sha256="0" * 63)), "tiny.files.0.sha256: "),
        (broken(files=file(size="5")), "tiny.files.0.size: "),
        (broken(files=file(size=-5)), "tiny.files.0.size: "),
        (broken(files=file() * 2), "tiny: has a file twice"),
        (broken(first="n.gguf"), "tiny: has no file 'n.gguf', which it names as the first"),
        (broken(first="../m.gguf", files=file(path="../m.gguf")), "is no path inside a repository"),
        (broken(first="/m.gguf", files=file(path="/m.gguf")), "is no path inside a repository"),
        (broken(first="a\nb", files=file(path="a\nb")), "holds the character U+000A"),
        (json.dumps({"models": [ENTRY, ENTRY]}), "'tiny' is locked twice under the same terms"),
        (broken(a=1, b=2, c=3, d=4, e=5), "; and 2 more"),
    ],
)
def test_what_is_wrong_is_said_in_words(text: str, complaint: str) -> None:
    with pytest.raises(ValueError, match=r"^[^\n]+$") as found:
        parse(text)

    assert complaint in str(found.value)
    assert "pydantic" not in str(found.value)


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        (None, locked(), "added: me/tiny-GGUF at c0ffeec0ffee, 1 file, 0.0 MiB"),
        (locked(), locked(), "as it was"),
        (
            locked(files=SPLITS),
            locked(files=[*SPLITS[:2], (SPLITS[2][0], 9)], commit=OTHER),
            "changed: commit c0ffeec0ffee -> ffffffffffff, 1 of 3 files are other ones",
        ),
        (
            locked(),
            locked(include=["*Q4*"], files=[("q4.gguf", 9)]),
            "changed: include ['*Q4*'], not ['*.gguf'], 1 of 1 files are other ones, "
            "without m.gguf",
        ),
        (locked(), locked(gguf={}), "changed: its GGUF facts"),
    ],
)
def test_a_change_is_said_in_words(before: Locked | None, after: Locked, words: str) -> None:
    assert change(before, after) == words


# -- Locks of before parts


def of_version_1(*paths: str) -> str:
    entry = {**ENTRY, "files": [{"path": p, "size": 5, "sha256": "0" * 64} for p in paths]}
    return json.dumps({"version": 1, "models": [{**entry, "first": paths[0]}]})


@pytest.mark.parametrize(
    "paths",
    [["m.gguf"], ["m.gguf", "README.md"], ["m-00001-of-00002.gguf", "m-00002-of-00002.gguf"]],
)
def test_a_lock_of_before_parts_is_read_where_all_is_weights(paths: list[str]) -> None:
    held = parse(of_version_1(*paths))
    (model,) = held.models
    assert "version 1" in held.lacks
    assert "known after `make lock`" in held.lacks
    assert parse(dump(held)).lacks == ""  # written by `make lock`

    assert model.terms == Terms.of(one_model().models["tiny"])
    assert [file.path for file in model.files] == paths
    assert model.parts == []


@pytest.mark.parametrize("extra", ["mmproj-F16.gguf", "imatrix.GGUF", "q8/m.gguf"])
def test_one_that_took_all_for_weights_is_to_be_made_anew(extra: str) -> None:
    with pytest.raises(ValueError, match=f"'tiny' has {extra} beside its model"):
        parse(of_version_1("m.gguf", extra))


# -- What goes along


def along(role: str, source: str, first: str, **fields: Any) -> LockedPart:
    files = [File(path=first, size=7, sha256="7" * 64)]
    values = {"repo": "me/tiny-GGUF", "revision": "main", "commit": COMMIT, "gguf": {}} | fields
    return LockedPart(role=role, source=source, first=first, files=files, **values)


def test_what_goes_along_is_a_term_and_the_default_is_none() -> None:
    asked = {
        "mmproj": "*F32*",
        "draft": "hf://you/d-GGUF@v2/d.gguf",
        "lora": ["b.gguf:2", "a.gguf"],
        "extra_args": ["--grammar-file", "hf://me/g/x.gbnf"],
    }
    model = one_model(**asked).models["tiny"]
    entry = locked(asked=model.parts)

    assert parse(dump(Lock(models=[entry]))).find("tiny", Terms.of(model)) == entry
    assert Terms.of(one_model().models["tiny"]).parts == ()
    for setting in asked:
        changed = one_model(**{**asked, setting: one_model().models["tiny"].model_dump()[setting]})
        assert list(Terms.of(changed.models["tiny"]).instead_of(entry.terms)) == [setting]
    none = one_model(mmproj=None).models["tiny"]
    assert Terms.of(none).instead_of(locked().terms) == {"mmproj": "mmproj none, not 'auto'"}


def test_files_of_one_repository_are_fetched_together_and_others_beside_them() -> None:
    parts = [
        along("mmproj", "auto", "p.gguf", kind="a projector", gguf={"quantisation": "BF16"}),
        along("lora", "hf://you/l/l.gguf", "l.gguf", repo="you/l", commit=OTHER, kind="a LoRA"),
    ]
    found = locked(parts=parts).resolved("https://hub.example")

    assert [file.path for file in found.files] == ["m.gguf", "p.gguf"]
    assert [(each.repo, each.commit, each.directory) for each in found.elsewhere] == [
        ("you/l", OTHER, "l")
    ]
    assert found.weights == {"m.gguf": 5}
    assert found.in_memory == {"tiny-GGUF/m.gguf": 5, "tiny-GGUF/p.gguf": 7, "l/l.gguf": 7}
    assert found.size == 19
    assert found.version != locked(parts=parts[:1]).resolved("https://hub.example").version


def test_a_change_of_what_goes_along_is_told() -> None:
    before = locked(parts=[along("mmproj", "auto", "a.gguf", gguf={"quantisation": "F16"})])
    after = locked(parts=[along("mmproj", "auto", "b.gguf", note="the smallest of 2")])

    assert change(before, after) == "changed: mmproj b.gguf (0.0 MiB, the smallest of 2)"
    assert change(after, locked()) == "changed: without mmproj b.gguf"
    assert change(None, before).endswith("; mmproj a.gguf (F16, 0.0 MiB)")
