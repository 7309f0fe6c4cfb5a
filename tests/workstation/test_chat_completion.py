"""`make chat`: an answer stands behind whose it is, and whatever goes wrong is said in one line."""

import http.server
import sys
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from herd.workstation import chat_completion

DELTA = b'data: {"choices": [{"delta": {"content": "moo"}}]}\n\n'
DONE = b"data: [DONE]\n\n"
ODD: dict[str, tuple[int, bytes, str]] = {
    "no words": (404, b"", "HTTP 404: Not Found"),
    "our words": (404, b'{"error": {"message": "There is no model"}}', "There is no model"),
    "no JSON": (200, b"data: {\n\n", "does not answer as OpenAI's API does"),
    "no object": (200, b"data: []\n\n", "does not answer as OpenAI's API does"),
    "no choice": (200, b'data: {"choices": [7]}\n\n', "does not answer as OpenAI's API does"),
    "no delta": (200, b'data: {"choices": [{"delta": null}]}\n\n', "does not answer as"),
    "deep": (200, b"data: " + b"[" * 100_000 + b"\n\n", "does not answer as OpenAI's API does"),
    "no text": (200, DONE, "the answer has no text"),
    "only thoughts": (
        200,
        b'data: {"choices": [{"delta": {"reasoning_content": "hm"}}]}\n\n' + DONE,
        "the answer has no text",
    ),
    "error": (200, b'data: {"error": {"message": "no"}}\n\n', "ended with an error"),
    "broken off": (200, DELTA, "broke off before its end"),
}


@pytest.fixture
def said() -> Iterator[list[Any]]:
    """Where an endpoint is, and the status and body of what it answers."""
    answer: list[Any] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            _, status, body = answer
            self.send_response(status)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
    answer.append(f"http://127.0.0.1:{server.server_port}")
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    yield answer
    server.shutdown()
    server.server_close()


def talk(said: list[Any], status: int, body: bytes, *, stream: bool = True) -> None:
    said[1:] = status, body
    chat_completion.say(
        "[mac1] m: ", chat_completion.complete(said[0], "KEY", "m", "hi", stream=stream)
    )


@pytest.mark.parametrize("how", ODD)
def test_an_odd_answer_is_told_in_one_line(
    said: list[Any], how: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """And no line is begun that nothing follows."""
    status, body, words = ODD[how]
    with pytest.raises(chat_completion.ChatError) as caught:
        talk(said, status, body)

    assert words in str(caught.value)
    assert "\n" not in str(caught.value)
    assert capsys.readouterr().out == ("[mac1] m: moo\n" if how == "broken off" else "")


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b'{"error":{"message":"The key is over its limit.","type":"x","code":429}}',
         "HTTP 429: The key is over its limit."),
        (b'{"type":"error","error":{"type":"rate","message":"Too\\nmuch."}}', "HTTP 429: Too"),
        (b'{"error":"no router for requested model","src":"llama-swap"}',
         "HTTP 429: no router for requested model"),
        (b'{"error":{"detail":"odd"}}', 'HTTP 429: {"error":{"detail":"odd"}}'),
        (b"<html>nginx</html>", "HTTP 429: <html>nginx</html>"),
        (b"", "HTTP 429: Too Many Requests"),
    ],
)  # fmt: skip
def test_a_refusal_is_told_in_the_words_that_are_for_people(
    said: list[Any], body: bytes, words: str
) -> None:
    with pytest.raises(chat_completion.ChatError) as caught:
        talk(said, 429, body)

    assert f"answers {words}" in str(caught.value)


@pytest.mark.parametrize("body", [b"{}", b"[]", b'{"choices": []}', b"7", b'{"choices": null}'])
def test_an_odd_answer_without_a_stream(said: list[Any], body: bytes) -> None:
    with pytest.raises(chat_completion.ChatError, match="does not answer as OpenAI's API does"):
        talk(said, 200, body, stream=False)


def test_an_answer(said: list[Any], capsys: pytest.CaptureFixture[str]) -> None:
    talk(said, 200, DELTA + DELTA + DONE)

    assert capsys.readouterr().out == "[mac1] m: moomoo\n"


def test_in_a_terminal_whose_it_is_stands_there_before_it_comes(
    said: list[Any], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A model may have to be loaded first."""
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    with pytest.raises(chat_completion.ChatError):
        talk(said, 404, b"no")
    assert capsys.readouterr().out == "[mac1] m: \n"

    talk(said, 200, DELTA + DONE)
    assert capsys.readouterr().out == "[mac1] m: moo\n"
