"""A chat completion from the workstation, as a client of the endpoint sees it."""

import http.client
import json
from collections.abc import Iterator
from urllib.parse import urlsplit

from herd.core.endpoints import completion


class ChatError(Exception):
    """The endpoint did not complete; the text says what it answered."""


def complete(
    url: str, key: str, model: str, prompt: str, *, stream: bool, max_tokens: int | None = None
) -> Iterator[str]:
    """Pieces of the answer as they come; one piece without `stream`.

    Reasoning that a model gives apart from its answer is left out. Raises ChatError.
    """
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=1200)
    body = completion(model, prompt, max_tokens=max_tokens, stream=stream)
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    try:
        connection.request("POST", "/v1/chat/completions", body.encode(), headers)
        response = connection.getresponse()
        if response.status != 200:
            text = response.read(2000).decode(errors="replace").strip()
            raise ChatError(f"{url} answers HTTP {response.status}: {text}")
        if stream:
            yield from _deltas(response)
        else:
            yield str(json.loads(response.read())["choices"][0]["message"].get("content") or "")
    except (OSError, http.client.HTTPException, ValueError, KeyError) as error:
        raise ChatError(f"{url} is not reachable from here, or broke off: {error}") from error
    finally:
        connection.close()


def _deltas(response: http.client.HTTPResponse) -> Iterator[str]:
    """The content of each server-sent event, up to `[DONE]`."""
    for raw in iter(response.readline, b""):
        line = raw.decode(errors="replace").strip()
        if not line.startswith("data:"):
            continue
        data = line.removeprefix("data:").strip()
        if data == "[DONE]":
            return
        event = json.loads(data)
        if "error" in event:
            raise ChatError(f"the stream ended with an error: {event['error']}")
        for choice in event.get("choices", []):
            if piece := choice.get("delta", {}).get("content"):
                yield piece
    raise ChatError("the stream broke off before its end")
