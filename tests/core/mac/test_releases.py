"""Which release is to run, is held by a rollback, may go."""

import pytest

from herd.core.mac.releases import (
    Held,
    NothingBefore,
    There,
    holds,
    pinned,
    removable,
    rolled_back,
    wanted,
)
from herd.core.settings.release import version_of
from tests.core.samples import declare, layout, problems, settings

A, B, C = (f"b{n}-{n * 12}" for n in "123")
SWAP, OLD_SWAP = "v250-0123456789ab", "v249-0123456789ab"


def release(version: str = "b1", **other: str) -> dict[str, str]:
    url = "https://github.com/o/r/releases/download/b1/llama-b1-bin-macos-arm64.tar.gz"
    return {"version": version, "url": url, "sha256": "1" * 64, **other}


def there(*whole: str, current: str = B, before: str = A, **more: object) -> There:
    found = {"llama.cpp": whole or (B, A)}
    return There(found, current={"llama.cpp": current}, before={"llama.cpp": before}, **more)  # type: ignore[arg-type]


def test_a_program_is_homebrews_or_that_of_the_link() -> None:
    place = layout(llama_cpp_release=release())

    assert place.program("llama-server") == (
        "/Users/me/llama-swap/releases/llama.cpp/current/llama-server"
    )
    assert place.program("llama-swap") == "/opt/homebrew/bin/llama-swap"
    assert place.version_links(["llama-server", "python3.13"]) == [
        "/Users/me/llama-swap/releases/llama.cpp/current",
        "/opt/homebrew/bin/python3.13",
    ]


def test_a_directory_is_named_by_version_and_content() -> None:
    own = settings(llama_cpp_release=release())
    other = settings(llama_cpp_release=release(sha256="2" * 64))

    assert pinned(own) == {"llama.cpp": "b1-111111111111"}
    assert pinned(other) == {"llama.cpp": "b1-222222222222"}
    assert [version_of(name) for name in ("b1-111111111111", "0.9.0", "v1-rc1")] == [
        *("b1", "0.9.0", "v1-rc1")
    ]


@pytest.mark.parametrize(
    ("fields", "place", "words"),
    [
        ({"sha256": ""}, "sha256", "at least 1 character"),
        ({"sha256": "A" * 64}, "sha256", "does not look like a sha256"),
        ({"sha256": "sha256:" + "1" * 64}, "sha256", "does not look like a sha256"),
        ({"version": "../b1"}, "version", "is no version"),
        ({"version": "b1 b2"}, "version", "is no version"),
        ({"version": "a/b"}, "version", "is no version"),
        ({"url": "https://github.com/o/r/llama-b1.zip"}, "url", "It is not that of a .tar.gz"),
        ({"url": "file:///tmp/x.tar.gz"}, "url", "It is no address"),
        ({"url": "https://me:secret@h/x.tar.gz"}, "url", "It is no address"),
        ({"url": "https://h:x/x.tar.gz"}, "url", "It is no address"),
        ({"url": "https://h/x.tar.gz?token=1"}, "url", "It is not that of a .tar.gz"),
    ],
)
def test_a_release_is_said_exactly(fields: dict[str, str], place: str, words: str) -> None:
    (found,) = problems(declare(llama_cpp_release=release(**fields)))

    assert f"llama_cpp_release.{place}" in found.where
    assert words in found.what
    assert "secret" not in f"{found}"


def test_what_a_release_lacks_is_named() -> None:
    (found,) = problems(
        declare(llama_swap_release={k: v for k, v in release().items() if k != "url"})
    )

    assert found.what == "The release has no url."
    assert "make pin" in found.fix


def test_the_pinned_release_runs_unless_another_is_held_in_its_place() -> None:
    held = {"llama.cpp": Held(A, B)}

    assert wanted({"llama.cpp": B}, there()) == {"llama.cpp": B}
    assert wanted({"llama.cpp": B}, there(held=held)) == {"llama.cpp": A}
    assert wanted({"llama.cpp": B}, there(held=held), forward=True) == {"llama.cpp": B}
    # Of another pin nothing is held, nor where what is held is not there any more.
    assert wanted({"llama.cpp": C}, there(held=held)) == {"llama.cpp": C}
    assert wanted({"llama.cpp": B}, there(B, held=held)) == {"llama.cpp": B}
    assert holds({"llama.cpp": C}, there(held=held)) == {}
    assert holds({"llama.cpp": B}, there(held=held)) == held


def test_a_rollback_holds_what_ran_before_and_only_that_once() -> None:
    both = There(
        {"llama.cpp": (B, A), "llama-swap": (SWAP,)},
        current={"llama.cpp": B, "llama-swap": SWAP},
        before={"llama.cpp": A, "llama-swap": SWAP},
    )
    pins = {"llama.cpp": B, "llama-swap": SWAP}
    back = {"llama.cpp": Held(A, B)}

    assert rolled_back(pins, both) == back
    done = there(current=A, before=B, held=back)
    assert rolled_back({"llama.cpp": B}, done) == back


@pytest.mark.parametrize(
    ("pins", "found", "words"),
    [
        ({}, There(), "Homebrew's, which installs its newest version only"),
        (
            {"llama.cpp": B},
            There({"llama.cpp": (B,)}, current={"llama.cpp": B}),
            "before llama.cpp b2",
        ),
        ({"llama.cpp": B}, there(B), "llama.cpp b1 is not there any more"),
        ({"llama.cpp": B}, there(before=B), "No other release ran here"),
    ],
)
def test_a_rollback_says_why_there_is_nothing_to_go_back_to(
    pins: dict[str, str], found: There, words: str
) -> None:
    with pytest.raises(NothingBefore, match=words):
        rolled_back(pins, found)


def test_two_older_releases_stay_and_what_is_needed() -> None:
    names = [f"b{n}-{n:012}" for n in range(9, 2, -1)]
    whole = {"llama.cpp": tuple(names)}
    pins, current = {"llama.cpp": names[0]}, {"llama.cpp": names[0]}

    def gone(**more: object) -> list[str]:
        found = There(whole, junk=("llama.cpp/x.tmp",), current=current, **more)  # type: ignore[arg-type]
        return list(removable(pins, found))

    assert gone() == ["llama.cpp/x.tmp", *(f"llama.cpp/{name}" for name in names[3:])]
    oldest = names[-1]
    assert f"llama.cpp/{oldest}" not in gone(before={"llama.cpp": oldest})
    assert f"llama.cpp/{oldest}" not in gone(held={"llama.cpp": Held(oldest, names[0])})
    assert f"llama.cpp/{oldest}" not in gone(kept=frozenset({f"llama.cpp/{oldest}"}))
    assert len(gone(before={"llama.cpp": oldest})) == len(gone())
