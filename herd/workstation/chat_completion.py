"""What a model answers to the workstation, as to a client of the endpoint: a chat completion, or
what else it does."""

import http.client
import json
import ssl
import sys
from collections.abc import Iterable, Iterator
from urllib.parse import urlsplit

from herd.core.mac.questions import question, told
from herd.core.models.tasks import CHAT, COMPLETION, SPEECH
from herd.core.text.harmless import harmless
from herd.core.text.quoting import elided


class ChatError(Exception):
    """The endpoint did not complete; the text says what it answered."""


def complete(
    url: str,
    key: str,
    model: str,
    prompt: str,
    *,
    stream: bool,
    task: str = CHAT,
    certificate: bytes | None = None,
) -> Iterator[str]:
    """Pieces of the answer as they come; one piece without `stream`, and of what is no text.

    Over https only whoever shows `certificate` (DER) gets the key. Reasoning that a model gives
    apart from its answer is left out. Raises ChatError.
    """
    connection = connect(url, certificate)
    asked = question(task, model, prompt, stream=stream)
    streams = stream and task in (CHAT, COMPLETION, SPEECH)
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    try:
        connection.request("POST", asked.path, asked.body.encode(), headers)
        response = connection.getresponse()
        if response.status != 200:
            raise ChatError(refusal(url, response, response.read(_LONGEST)))
        if streams:
            yield from _deltas(response)
        else:
            yield told(task, json.loads(response.read()))
    except (OSError, http.client.HTTPException) as error:
        said = str(error) or type(error).__name__
        raise ChatError(f"{url} is not reachable from here, or broke off: {said}") from error
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise ChatError(f"{url} does not answer as OpenAI's API does") from error
    finally:
        connection.close()


_LONGEST = 64 << 10
"""Bytes of an error that are read."""


def refusal(url: str, response: http.client.HTTPResponse, body: bytes) -> str:
    """What an endpoint answered instead, in its own words: those of an error of OpenAI's, of
    Anthropic's or of llama-swap's, without what is for programs."""
    text = body.decode(errors="replace").strip()
    try:
        found = json.loads(text)["error"]
        words = found if isinstance(found, str) else str(found["message"])
    except (ValueError, KeyError, TypeError, RecursionError):
        words = text
    return f"{url} answers HTTP {response.status}: {elided(words, 2000) or response.reason}"


def say(heading: str, pieces: Iterable[str]) -> None:
    """Prints an answer as it comes, behind whose it is.

    In a terminal that is there while a model is being loaded; elsewhere no line is begun that
    nothing follows. Raises ChatError, also for an answer without a text.
    """
    begun, any_text = sys.stdout.isatty(), False
    if begun:
        print(heading, end="", flush=True)
    try:
        for piece in filter(None, pieces):
            print("" if begun else heading, harmless(piece, keep="\n"), sep="", end="", flush=True)
            begun = any_text = True
        if not any_text:
            raise ChatError("the answer has no text")
    finally:
        if begun:
            print(flush=True)


def connect(url: str, certificate: bytes | None) -> http.client.HTTPConnection:
    """A connection to whoever owns the certificate that we deployed: no authority is asked, and
    its name need not be the one that the inventory has for the Mac. Raises ChatError."""
    parts = urlsplit(url)
    place, port = parts.hostname or "", parts.port
    if certificate is None:
        return http.client.HTTPConnection(place, port, timeout=1200)
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    connection = http.client.HTTPSConnection(place, port, timeout=1200, context=context)
    try:
        connection.connect()
        shown = connection.sock.getpeercert(binary_form=True)
    except OSError as error:
        raise ChatError(f"{url} is not reachable from here: {error}") from error
    if shown != certificate:
        connection.close()
        raise ChatError(f"{url} shows another certificate than proxy_tls_certificate; deploy it")
    return connection


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
            if piece := choice.get("text") or choice.get("delta", {}).get("content"):
                yield piece
    raise ChatError("the stream broke off before its end")
