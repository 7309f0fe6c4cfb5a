"""Which file of a model is given to llama-server."""

import itertools

import pytest

from herd.core.models.splits import first_file, models_in, some


def names(count: int, prefix: str = "m-mxfp4") -> list[str]:
    return [f"{prefix}-{n:05d}-of-{count:05d}.gguf" for n in range(1, count + 1)]


def test_a_whole_file_is_served_itself() -> None:
    assert first_file(["README.md", "m.gguf"]) == "m.gguf"


def test_of_splits_the_first_is_served_in_whatever_order_they_come() -> None:
    for order in itertools.permutations(names(3)):
        assert first_file(order) == "m-mxfp4-00001-of-00003.gguf"


def test_splits_in_a_directory_keep_it() -> None:
    paths = names(2, "openai_gpt-oss-120b-Q4_K_M/openai_gpt-oss-120b-Q4_K_M")

    assert first_file(paths) == paths[0]


@pytest.mark.parametrize(
    ("paths", "complaint"),
    [
        ([], "matches no GGUF file"),
        (["README.md", "model.safetensors"], "matches no GGUF file"),
        (["a.gguf", "b.gguf"], r"matches 2 models: a\.gguf, b\.gguf"),
        (["a.gguf", *names(2)], r"matches 2 models: a\.gguf, m-mxfp4-00001-of-00002\.gguf"),
        ([*names(2), *names(3)], "matches 2 models"),
        (names(3)[:2], r"lacks 1 of 3 splits: m-mxfp4-00003-of-00003\.gguf"),
        (names(3)[1:], r"lacks 1 of 3 splits: m-mxfp4-00001-of-00003\.gguf"),
        (names(20)[:1], r"lacks 19 of 20 splits: .*00007-of-00020\.gguf and 13 more"),
        ([*names(3), "m-mxfp4-00004-of-00003.gguf"], r"has splits beyond 3: .*00004-of-00003"),
        ([*names(3), "m-mxfp4-00000-of-00003.gguf"], r"has splits beyond 3: .*00000-of-00003"),
        ([f"{n}.gguf" for n in range(9)], "matches 9 models: .* and 3 more"),
    ],
)
def test_what_is_not_one_whole_model_is_refused(paths: list[str], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        first_file(paths)


def test_what_a_repository_has_is_its_models() -> None:
    paths = ["README.md", "q8/m.gguf", *names(3, "q4/m"), "imatrix.dat"]

    assert models_in(paths) == ["q4/m-00001-of-00003.gguf (3 splits)", "q8/m.gguf"]


def test_or_all_its_files_when_there_is_no_model() -> None:
    assert models_in(["model.safetensors", "README.md"]) == ["README.md", "model.safetensors"]


def test_of_many_names_the_first_are_told() -> None:
    assert some(["a", "b", "c"], most=2) == "a, b and 1 more"
