"""Which files are fetched, and what earlier transfers left."""

from herd.core.transfers import File
from tests.core.samples import resolved

MODEL = resolved([("q/m-00001-of-00002.gguf", 10), ("q/m-00002-of-00002.gguf", 20)])
FIRST, SECOND = MODEL.files
AT = "tiny-GGUF/"
WHOLE = {f"{AT}{FIRST.path}": 10, f"{AT}{SECOND.path}": 20}


def test_nothing_there_means_everything_is_missing() -> None:
    assert MODEL.missing({}) == [FIRST, SECOND]


def test_whole_files_are_adopted_whoever_fetched_them() -> None:
    assert MODEL.missing(WHOLE) == []


def test_a_file_of_another_size_is_missing() -> None:
    assert MODEL.missing({**WHOLE, f"{AT}{SECOND.path}": 19}) == [SECOND]
    assert MODEL.missing({**WHOLE, f"{AT}{FIRST.path}": 11}) == [FIRST]


def test_a_whole_file_in_another_models_directory_does_not_count() -> None:
    assert MODEL.missing({path.replace(AT, "other/"): size for path, size in WHOLE.items()})


def test_an_empty_file_is_not_missed_as_there_is_nothing_to_fetch() -> None:
    assert resolved([("m.gguf", 5), ("empty", 0)]).missing({f"{AT}m.gguf": 5}) == []


def test_a_part_names_the_commit_so_that_bytes_never_mix() -> None:
    other = resolved([(FIRST.path, 10)], commit="f" * 40)

    assert MODEL.part(FIRST) == "q/m-00001-of-00002.gguf.c0ffeec0ffee.part"
    assert MODEL.part(FIRST) != other.part(FIRST)


def test_an_address_is_of_the_commit_and_quotes_what_must_be() -> None:
    model = resolved([("my q/100% #1?.gguf", 1)])

    assert model.url(model.files[0]) == (
        f"https://hub.example/me/tiny-GGUF/resolve/{MODEL.commit}/my%20q/100%25%20%231%3F.gguf"
    )
    assert MODEL.url(File("é🦙.gguf", 1)).isascii()


def test_a_part_of_another_commit_is_a_leftover_and_the_present_one_is_not() -> None:
    sizes = {
        f"{AT}{MODEL.part(FIRST)}": 4,
        f"{AT}{FIRST.path}.0123456789ab.part": 4,
        f"{AT}{FIRST.path}.0123456789ab.part.pid": 4,
    }

    assert MODEL.leftovers(sizes) == [
        f"{AT}{FIRST.path}.0123456789ab.part",
        f"{AT}{FIRST.path}.0123456789ab.part.pid",
    ]


def test_once_a_file_is_whole_its_part_is_a_leftover_with_what_belongs_to_it() -> None:
    part = f"{AT}{MODEL.part(FIRST)}"
    sizes = {**WHOLE, part: 4, f"{part}.pid": 4, f"{part}.status": 0}

    assert MODEL.leftovers(sizes) == [part, f"{part}.pid", f"{part}.status"]


def test_the_process_and_answer_of_a_transfer_to_be_resumed_stay() -> None:
    part = f"{AT}{MODEL.part(FIRST)}"

    assert MODEL.leftovers({part: 4, f"{part}.pid": 4, f"{part}.status": 0}) == []


def test_what_hf_left_unfinished_is_a_leftover_and_what_it_remembers_is_not() -> None:
    cache = f"{AT}.cache/huggingface/download/"
    sizes = {
        f"{cache}q/abc.0123.incomplete": 5,
        f"{cache}q/m-00001-of-00002.gguf.metadata": 5,
        f"{cache}q/m-00001-of-00002.gguf.lock": 0,
        f"{AT}mine.incomplete": 5,
    }

    assert MODEL.leftovers(sizes) == [f"{cache}q/abc.0123.incomplete"]


def test_what_belongs_to_others_is_no_leftover() -> None:
    sizes = {
        "other/q/m-00001-of-00002.gguf.0123456789ab.part": 1,
        f"{AT}another.gguf.0123456789ab.part": 1,
        f"{AT}README.md": 1,
        f"{AT}{FIRST.path}": 3,
        f"{AT}{FIRST.path}.bak": 3,
        "loose.part": 1,
    }

    assert MODEL.leftovers(sizes) == []
