"""What is asked of a model, in the way of its task, and by what an answer is known."""

import base64
import json
import re
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from herd.core.models.tasks import CHAT, COMPLETION, EMBEDDING, RERANKING, SPEECH

DOCUMENTS = ("A cow gives milk.", "A Mac serves models.")
"""What is put in order for a query."""


@dataclass(frozen=True)
class Question:
    """A POST of JSON. `holds` is a pattern of grep that a right answer has in it."""

    path: str
    body: str
    holds: str

    @property
    def right(self) -> re.Pattern[str]:
        """The same for Python; these are read alike by both."""
        return re.compile(self.holds)


_NUMBER = "-*[0-9]"
_PATHS = {
    CHAT: ("/v1/chat/completions", '"choices": *. *[{]'),
    SPEECH: ("/v1/chat/completions", '"choices": *. *[{]'),
    COMPLETION: ("/v1/completions", '"choices": *. *[{]'),
    EMBEDDING: ("/v1/embeddings", f'"embedding": *. *{_NUMBER}'),
    RERANKING: ("/v1/rerank", f'"relevance_score": *{_NUMBER}'),
}


def question(
    task: str, model: str, text: str, *, max_tokens: int | None = None, stream: bool = False
) -> Question:
    """Of `text`, or, of a model that hears, of half a second of silence."""
    path, holds = _PATHS[task]
    said: dict[str, Any]
    match task:
        case "embedding":
            said = {"input": text}
        case "reranking":
            said = {"query": text, "documents": list(DOCUMENTS)}
        case "completion":
            said = {"prompt": text, "stream": stream}
        case _:
            said = {"messages": [{"role": "user", "content": _content(task, text)}]}
            said["stream"] = stream
    if max_tokens is not None and "stream" in said:
        said["max_tokens"] = max_tokens
    return Question(path, json.dumps({"model": model, **said}), holds)


def _content(task: str, text: str) -> Any:
    if task != SPEECH:
        return text
    sound = {"data": base64.b64encode(_silence()).decode(), "format": "wav"}
    return [{"type": "text", "text": text}, {"type": "input_audio", "input_audio": sound}]


def _silence(samples: int = 8000, rate: int = 16000) -> bytes:
    """A WAV file of one channel, a byte each (RIFF, format 1)."""
    head = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, 1, rate, rate, 1, 8)
    data = struct.pack("<4sI", b"data", samples) + b"\x80" * samples
    return struct.pack("<4sI4s", b"RIFF", 4 + len(head) + len(data), b"WAVE") + head + data


def told(task: str, answer: Mapping[str, Any]) -> str:
    """A whole answer, for a person. Raises LookupError or TypeError for what is none."""
    match task:
        case "embedding":
            numbers = answer["data"][0]["embedding"]
            few = ", ".join(f"{float(number):.4f}" for number in numbers[:4])
            return f"{len(numbers)} numbers: {few}, ..."
        case "reranking":
            found = sorted(answer["results"], key=lambda each: -float(each["relevance_score"]))
            return "; ".join(
                f"{float(each['relevance_score']):.4f} {DOCUMENTS[each['index']]}" for each in found
            )
        case "completion":
            return str(answer["choices"][0].get("text") or "")
    return str(answer["choices"][0]["message"].get("content") or "")
