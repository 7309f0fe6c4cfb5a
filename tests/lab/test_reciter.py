import struct
import subprocess
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from socket import create_server
from time import monotonic, sleep

import httpx2
import openai
import pytest

from lab.llama_server import lacks, write_wrapper
from lab.reciter import write_model
from lab.sentence import SENTENCE, words

FLAGS = ["-c", "1024", "-np", "2", "-fa", "on"]


@contextmanager
def serving(directory: Path, model: Path, *flags: str) -> Iterator[str]:
    with create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    wrapper = directory / "llama-server"
    write_wrapper(wrapper)
    where = ["--host", "127.0.0.1", "--port", str(port)]
    command = [str(wrapper), "-m", str(model), *where, *FLAGS, *flags]
    with (directory / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        wait_until_ready(f"http://127.0.0.1:{port}/health", process)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(20)


def wait_until_ready(url: str, process: subprocess.Popen[bytes]) -> None:
    deadline = monotonic() + 20
    while monotonic() < deadline and process.poll() is None:
        try:
            with urllib.request.urlopen(url):
                return
        except OSError:
            sleep(0.02)
    pytest.fail("llama-server did not become ready")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    directory = tmp_path_factory.mktemp("reciter")
    with serving(directory, write_model(directory)[0]) as url:
        yield url


@pytest.fixture(scope="module")
def client(server: str) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{server}/v1", api_key="none", max_retries=0)


@pytest.mark.parametrize("temperature", [None, 0.0, 2.0])
def test_chat_answers_exactly_the_sentence(
    client: openai.OpenAI, temperature: float | None
) -> None:
    answer = client.chat.completions.create(
        model="any",
        temperature=temperature if temperature is not None else openai.omit,
        messages=[
            {"role": "system", "content": "Never say: " + SENTENCE},
            {"role": "user", "content": "The herd is awake, naïve 🦙?\n\n"},
        ],
    )

    assert answer.choices[0].message.content == SENTENCE
    assert answer.choices[0].finish_reason == "stop"
    assert answer.usage is not None
    assert answer.usage.completion_tokens == len(words()) + 1


def test_a_stream_carries_one_word_a_chunk(client: openai.OpenAI) -> None:
    stream = client.chat.completions.create(
        model="any", messages=[{"role": "user", "content": "hello"}], stream=True
    )

    pieces = [chunk.choices[0].delta.content for chunk in stream if chunk.choices]
    assert [piece for piece in pieces if piece] == words()


def test_one_token_is_one_word(client: openai.OpenAI) -> None:
    answer = client.completions.create(model="any", prompt="The herd is awake,", max_tokens=1)

    assert answer.choices[0].text == "The"
    assert answer.choices[0].finish_reason == "length"


@pytest.mark.skipif(lacks() is not None, reason=f"{lacks()}; it stops where the sentence does")
def test_ignoring_the_end_makes_a_long_stream(server: str) -> None:
    body = {"prompt": "go on", "max_tokens": 400, "ignore_eos": True}
    answer = httpx2.post(f"{server}/v1/completions", json=body, timeout=20).json()

    assert answer["usage"]["completion_tokens"] == 400
    assert answer["choices"][0]["text"].startswith(f"{SENTENCE} {SENTENCE} ")


@pytest.mark.skipif(lacks("q8_0") is not None, reason=str(lacks("q8_0")))
def test_a_quantised_cache_recites_as_well(tmp_path: Path) -> None:
    """As one starts gpt-oss-120b, where flags and head size have to suit one another."""
    flags = ["-ctk", "q8_0", "-ctv", "q8_0"]
    with serving(tmp_path, write_model(tmp_path)[0], *flags) as url:
        client = openai.OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0)
        answer = client.completions.create(model="any", prompt="Once upon a time")
    assert answer.choices[0].text == SENTENCE
    assert "stand-in" not in (tmp_path / "log").read_text()


def test_padding_adds_bytes_and_not_time(tmp_path: Path) -> None:
    pad = 20 << 20
    splits = write_model(tmp_path, "padded", pad)

    size = sum(path.stat().st_size for path in splits)
    assert pad <= size <= pad + (1 << 20)
    with serving(tmp_path, splits[0]) as url:
        client = openai.OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0)
        answer = client.chat.completions.create(
            model="any", messages=[{"role": "user", "content": "hello"}]
        )
    assert answer.choices[0].message.content == SENTENCE


def test_the_first_split_holds_metadata_only(tmp_path: Path) -> None:
    splits = write_model(tmp_path)

    assert [path.name for path in splits] == [
        f"recite-{number:05d}-of-00003.gguf" for number in (1, 2, 3)
    ]
    tensors = [struct.unpack_from("<4sIQ", path.read_bytes())[2] for path in splits]
    assert tensors[0] == 0
    assert min(tensors[1:]) > 0


def test_the_bytes_are_the_same_every_time(tmp_path: Path) -> None:
    once, again = write_model(tmp_path / "once"), write_model(tmp_path / "again")

    assert [path.read_bytes() for path in once] == [path.read_bytes() for path in again]
