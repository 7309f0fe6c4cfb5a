"""What is asked of a model by its task, and what an answer is known by."""

import json
import shutil
import subprocess
import wave
from base64 import b64decode
from io import BytesIO
from typing import Any

import pytest

from herd.core.mac.questions import DOCUMENTS, question, told

# As build 10068 of llama-server answers, shortened.
ANSWERS: dict[str, tuple[str, dict[str, Any], str]] = {
    "chat": (
        "/v1/chat/completions",
        {"choices": [{"index": 0, "message": {"role": "assistant", "content": "The"}}]},
        "The",
    ),
    "completion": ("/v1/completions", {"choices": [{"text": "The", "index": 0}]}, "The"),
    "embedding": (
        "/v1/embeddings",
        {"object": "list", "data": [{"embedding": [-0.5, 1, 0, 0, 0], "index": 0}]},
        "5 numbers: -0.5000, 1.0000, 0.0000, 0.0000, ...",
    ),
    "reranking": (
        "/v1/rerank",
        {
            "results": [
                {"index": 0, "relevance_score": -2.5},
                {"index": 1, "relevance_score": 7.9997},
            ]
        },
        f"7.9997 {DOCUMENTS[1]}; -2.5000 {DOCUMENTS[0]}",
    ),
    "speech": (
        "/v1/chat/completions",
        {"choices": [{"index": 0, "message": {"role": "assistant", "content": "(silence)"}}]},
        "(silence)",
    ),
}


@pytest.mark.parametrize("task", ANSWERS)
def test_each_task_has_its_way(task: str) -> None:
    path, answer, words = ANSWERS[task]
    asked = question(task, "my model", 'say "hi" \U0001f999')

    assert asked.path == path
    assert json.loads(asked.body)["model"] == "my model"
    assert told(task, answer) == words


@pytest.mark.parametrize("spaces", [(",", ":"), (", ", ": ")])
@pytest.mark.parametrize("task", ANSWERS)
def test_an_answer_is_known_by_what_grep_and_python_both_find(
    task: str, spaces: tuple[str, str]
) -> None:
    asked, text = question(task, "m", "Hi"), json.dumps(ANSWERS[task][1], separators=spaces)
    grep = shutil.which("grep")
    assert grep

    for answer, right in (
        (text, True),
        ('{"data":[],"choices":[],"results":[]}', False),
        ('{"data":[{"embedding":[null]}],"results":[{"relevance_score":null}]}', False),
        ('{"error":{"code":501,"message":"This server does not support embeddings."}}', False),
    ):
        done = subprocess.run([grep, "-q", "-e", asked.holds], input=answer, text=True, check=False)
        assert (done.returncode == 0) is right
        assert bool(asked.right.search(answer)) is right


def test_a_chat_is_json_whatever_is_asked() -> None:
    body = json.loads(question("chat", "my model", 'say "hi" \U0001f999', stream=True).body)

    assert body == {
        "model": "my model",
        "messages": [{"role": "user", "content": 'say "hi" \U0001f999'}],
        "stream": True,
    }


def test_what_makes_text_can_be_limited_and_nothing_else() -> None:
    bodies = {task: json.loads(question(task, "m", "x", max_tokens=1).body) for task in ANSWERS}

    assert {task for task, body in bodies.items() if body.get("max_tokens") == 1} == {
        *("chat", "completion", "speech")
    }


def test_what_hears_is_played_half_a_second_of_silence() -> None:
    (message,) = json.loads(question("speech", "m", "What is said?").body)["messages"]
    text, sound = message["content"]

    assert text == {"type": "text", "text": "What is said?"}
    with wave.open(BytesIO(b64decode(sound["input_audio"]["data"]))) as played:
        assert played.getnframes() / played.getframerate() == 0.5
        assert set(played.readframes(8000)) == {0x80}


@pytest.mark.parametrize("task", ANSWERS)
def test_what_is_no_answer_is_an_error(task: str) -> None:
    for answer in ({}, {"data": [], "results": [{}], "choices": []}):
        with pytest.raises((LookupError, TypeError)):
            told(task, answer)
