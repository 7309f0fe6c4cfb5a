"""What models take of memory is asked of llama.cpp, by no more than the headers of their files."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gguf import GGUFReader, GGUFWriter

from fetcher import fit_spec, gguf_header
from tests.fetcher.conftest import Done, Program, sha256
from tests.fetcher.servers import Hub

MARK, OTHER = "0123456789abcdef", "fedcba9876543210"
SIZE = 8 << 20


def written(path: Path, *, tokens: int = 10, weights: int = SIZE) -> bytes:
    """A file with keys of all kinds, and a tokenizer."""
    writer = GGUFWriter(path, "llama")
    writer.add_uint32("llama.block_count", 2)
    writer.add_string("general.name", "an é")
    writer.add_bool("yes", True)
    writer.add_float64("half", 0.5)
    writer.add_array("numbers", [1, 2, 3])
    writer.add_array("nested", [[1, 2], [3]])
    writer.add_token_list([f"token {number}" for number in range(tokens)])
    writer.add_tensor("blk.0.attn_q.weight", np.ones((weights // 32, 8), dtype=np.float32))
    writer.add_tensor("output_norm.weight", np.ones(8, dtype=np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path.read_bytes()


@pytest.mark.parametrize("tokens", [1, 3000])
def test_a_header_ends_before_the_first_tensor(tmp_path: Path, tokens: int) -> None:
    content = written(tmp_path / "m.gguf", tokens=tokens, weights=4096)
    data = min(int(each.data_offset) for each in GGUFReader(tmp_path / "m.gguf").tensors)

    end = gguf_header.end(content)

    assert end is not None
    assert data - 32 < end <= data  # general.alignment
    assert {gguf_header.end(content[:size]) for size in (0, 3, 4, 24, end // 2, end - 1)} == {None}
    assert gguf_header.end(content[:end]) == end


@pytest.mark.parametrize(
    "content",
    [
        b"<html>",
        b"GGUF\x01\0\0\0" + bytes(16),
        b"GGUF\x03\0\0\0" + b"\xff" * 16,
        # A key of the type 99.
        b"GGUF\x03\0\0\0" + bytes(8) + b"\x01" + bytes(7) + b"\x01" + bytes(7) + b"k\x63\0\0\0",
    ],
)
def test_what_is_no_header_is_told(content: bytes) -> None:
    with pytest.raises(ValueError, match=r"GGUF|unknown type 99"):
        gguf_header.end(content)


# Says what it was asked, and what it sees of the file.
PROGRAM = """\
#!/bin/sh
[ "$GGML_NO_BACKTRACE" = 1 ] || exit 3
[ "$1 $2 $3" = "--fit-print on --model" ] || exit 4
echo "$*" >>"$(dirname "$0")/asked"
echo "size $(wc -c <"$4")" >>"$(dirname "$0")/asked"
[ ! -L "$4" ] || echo whole >>"$(dirname "$0")/asked"
cp "$4" "$(dirname "$0")/seen"
case $(cat "$(dirname "$0")/says" 2>/dev/null) in
  refuses) echo "0.01 E load: error loading model: unknown model architecture: 'new' in $4" >&2
           echo "terminate called" >&2; exit 134 ;;
  nothing) echo "a line that is none"; exit 0 ;;
esac
echo "printing estimated memory"
echo "MTL0 538 2912 50 "
echo "Host 100 0 7 "
"""


class Asked:
    """A llama-fit-params that says so, a directory of models, and a Hub."""

    def __init__(self, directory: Path, hub: Hub, program: Program) -> None:
        self.directory, self.hub, self._program = directory, hub, program
        self.models, self.notes = directory / "models", directory / "stack/fit"
        self.models.mkdir()
        self.binary = directory / "llama-fit-params"
        self.binary.write_text(PROGRAM)
        self.binary.chmod(0o755)
        program.environment["TMPDIR"] = str(directory)

    def document(self, *paths: str, **more: Any) -> dict[str, Any]:
        files = [
            {
                "path": f"m-GGUF/{path}",
                "size": len(self.hub.files[path]),
                "sha256": sha256(self.hub.files[path]),
                "url": self.hub.url_of(path),
            }
            for path in paths
        ]
        ask = {"name": "m", "mark": MARK, "first": f"m-GGUF/{paths[0]}"}
        return {
            **{"token": None, "program": [str(self.binary)], "notes": str(self.notes)},
            **{"keep": [MARK], "models": str(self.models), "pause": 0.01},
            **{"asks": [{**ask, "words": ["--ctx-size", "4 K"], "files": files}]},
            **more,
        }

    def run(self, document: dict[str, Any]) -> Done:
        process = self._program.start(document, arguments=["fit"], stderr=-1)
        output, errors = process.communicate(timeout=30)
        return Done(process.args, process.returncode, output, errors)

    def note(self, mark: str = MARK) -> str:
        return (self.notes / mark).read_text()

    @property
    def said(self) -> list[str]:
        return (self.directory / "asked").read_text().splitlines()


@pytest.fixture
def asked(
    tmp_path: Path, program: Program, servers: list[Any]
) -> Callable[[dict[str, bytes]], Asked]:
    def make(files: dict[str, bytes]) -> Asked:
        servers.append(hub := Hub(files))
        return Asked(tmp_path, hub, program)

    return make


def test_a_skeleton_is_as_long_as_the_file_and_costs_its_header(
    asked: Callable[..., Asked], tmp_path: Path
) -> None:
    content = written(tmp_path / "m.gguf")
    it = asked({"m.gguf": content})

    done = it.run(it.document("m.gguf"))

    assert done.returncode == 0, done.stderr
    assert it.note() == "MTL0 538 2912 50\nHost 100 0 7\n"
    line, size = it.said
    assert line.startswith("--fit-print on --model ")
    assert line.endswith("/m-GGUF/m.gguf --ctx-size 4 K")
    assert size.split() == ["size", str(len(content))]
    seen, end = (tmp_path / "seen").read_bytes(), gguf_header.end(content)
    assert end
    assert seen[:end] == content[:end]
    assert not any(seen[end:])
    assert it.hub.sent <= 1 << 20
    # Nothing is left of it.
    assert not list(tmp_path.glob("llama-herd-fit-*"))
    assert not list(it.models.iterdir())
    assert "m: asking llama.cpp what it takes, by 1.0 MiB of its headers" in done.stdout


def test_a_longer_header_is_asked_for_until_it_ends(
    asked: Callable[..., Asked], tmp_path: Path
) -> None:
    content = written(tmp_path / "m.gguf", tokens=60_000)
    it = asked({"m.gguf": content})

    assert it.run(it.document("m.gguf")).returncode == 0
    assert it.hub.ranges() == ["0-1048575", "1048576-2097151"]
    end = gguf_header.end(content)
    assert (tmp_path / "seen").read_bytes()[:end] == content[:end]


def test_what_is_there_whole_is_not_asked_for(asked: Callable[..., Asked], tmp_path: Path) -> None:
    one, two = written(tmp_path / "1.gguf"), written(tmp_path / "2.gguf", weights=4096)
    it = asked({"m-00001-of-00002.gguf": one, "m-00002-of-00002.gguf": two})
    (it.models / "m-GGUF").mkdir()
    (it.models / "m-GGUF/m-00001-of-00002.gguf").write_bytes(one)

    assert it.run(it.document(*it.hub.files)).returncode == 0
    assert "whole" in it.said
    assert {path for path, _ in it.hub.asked} == {
        it.hub.url_of("m-00002-of-00002.gguf").removeprefix(it.hub.url)
    }


@pytest.mark.parametrize(
    ("says", "note"),
    [
        (
            "refuses",
            "error load: error loading model: unknown model architecture: 'new' in m-GGUF/",
        ),
        ("nothing", "error it said nothing"),
    ],
)
def test_what_it_cannot_tell_is_noted_with_its_words(
    asked: Callable[..., Asked], tmp_path: Path, says: str, note: str
) -> None:
    it = asked({"m.gguf": written(tmp_path / "m.gguf")})
    (tmp_path / "says").write_text(says)

    assert it.run(it.document("m.gguf")).returncode == 0
    assert it.note().startswith(note)


def test_a_hub_that_gives_no_header_leaves_no_note(
    asked: Callable[..., Asked], tmp_path: Path
) -> None:
    it = asked({"m.gguf": written(tmp_path / "m.gguf")})
    document = it.document("m.gguf")
    it.hub.files.clear()

    done = it.run(document)

    assert done.returncode == 1
    assert "m: m-GGUF/m.gguf: the Hub answers 404" in done.stderr
    assert "so llama.cpp cannot be asked before" in done.stderr
    assert not list(it.notes.iterdir())


def test_a_hub_that_is_busy_is_left_alone(asked: Callable[..., Asked], tmp_path: Path) -> None:
    it = asked({"m.gguf": written(tmp_path / "m.gguf")})
    it.hub.refuse(429, ratelimit='"api";r=0;t=1')
    it.hub.refuse(429)
    it.hub.drop(100)

    done = it.run(it.document("m.gguf"))

    assert done.returncode == 0, done.stderr
    assert "m: HTTP 429 from the Hub, asked as often as it lets strangers ask" in done.stdout
    assert "HF_TOKEN" in done.stdout
    assert it.note().startswith("MTL0 ")


def test_notes_of_what_nobody_asks_go(asked: Callable[..., Asked], tmp_path: Path) -> None:
    it = asked({"m.gguf": written(tmp_path / "m.gguf")})
    it.notes.mkdir(parents=True)
    (it.notes / OTHER).write_text("Host 1 2 3\n")

    assert it.run(it.document("m.gguf")).returncode == 0
    assert [path.name for path in it.notes.iterdir()] == [MARK]


def test_documents_are_read_strictly(asked: Callable[..., Asked], tmp_path: Path) -> None:
    it = asked({"m.gguf": written(tmp_path / "m.gguf", weights=4096)})
    good = it.document("m.gguf", token="hf_secret")
    assert "hf_secret" not in repr(fit_spec.parse(json.dumps(good)))
    wrong = {
        "program": ([1], "program is to be a list of words"),
        "notes": ("fit", "notes is to be an absolute path"),
        "keep": (["../x"], "keep is to be 16 digits"),
        "models": (None, "models is to be an absolute path"),
        "pause": (0, "pause is to be above 0"),
        "asks": ([{}], r"asks\[0\]\.files is to be a list"),
    }
    for key, (value, words) in wrong.items():
        with pytest.raises(ValueError, match=words):
            fit_spec.parse(json.dumps({**good, key: value}))
    done = it.run({**good, "notes": "fit"})
    assert done.returncode == 2
    assert "hf_secret" not in done.stderr
