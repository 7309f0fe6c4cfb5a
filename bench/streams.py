"""Clients that ask a herd all the time while something is done to it, and what became of each
request: whole, refused with a time to come back, failed, or cut after it had begun."""

import http.client
import json
import threading
import time
from collections import Counter
from collections.abc import Sequence
from typing import Any

WHOLE, REFUSED, FAILED, CUT = "whole", "refused", "failed", "cut"
LAST = b"data: [DONE]"
TOKENS = 400
"""Of each stream: of the lab's model, a second or two."""
SECONDS = 120.0


class Streams:
    """A thread for each client, to each of the ports in turn, for as long as the context lasts."""

    def __init__(self, ports: Sequence[int], key: str, *, clients: int, model: str) -> None:
        self.became: Counter[str] = Counter()
        self.seconds: list[float] = []
        """To the first byte of each that was whole."""
        self.wrong: list[str] = []
        """What those were told that failed or were cut, and were refused without a time."""
        self.refused: list[str] = []
        """What those were told that were refused with a time to come back."""
        self.said: set[str] = set()
        """The texts of those that were whole."""
        self.by: Counter[str] = Counter()
        """Which Macs answered, where a gateway says so."""
        self._key, self._model = key, model
        self._stop = threading.Event()
        self._threads = [
            threading.Thread(target=self._ask_on, args=(ports[n % len(ports)], n), daemon=True)
            for n in range(clients)
        ]

    def __enter__(self) -> "Streams":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(SECONDS)

    @property
    def asked(self) -> int:
        """How many requests are over."""
        return self.became.total()

    def _ask_on(self, port: int, client: int) -> None:
        turn = 0
        while not self._stop.is_set():
            turn += 1
            how = self._ask(port, f"client {client}, turn {turn}")
            self.became[how] += 1
            if how == REFUSED:
                time.sleep(0.2)

    def _ask(self, port: int, text: str) -> str:
        body: dict[str, Any] = {"stream": True, "max_tokens": TOKENS, "ignore_eos": True}
        body |= {"messages": [{"role": "user", "content": text}], "model": self._model}
        headers = {"Authorization": f"Bearer {self._key}", "Content-Type": "application/json"}
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=SECONDS)
        began, status, said = time.monotonic(), 0, b""
        try:
            connection.request("POST", "/v1/chat/completions", json.dumps(body), headers)
            answer = connection.getresponse()
            first, status = time.monotonic() - began, answer.status
            while data := answer.read1(1 << 16):
                said += data
            if status == 200 and said.rstrip().endswith(LAST):
                self.seconds.append(first)
                self.said.add(_text(said))
                self.by[answer.headers.get("X-Served-By", "")] += 1
                return WHOLE
            if status in (429, 503) and answer.headers.get("Retry-After", "").isdigit():
                self.refused.append(f"{status} {said[-300:]!r}")
                return REFUSED
        except (OSError, http.client.HTTPException) as error:
            said += repr(error).encode()
        finally:
            connection.close()
        self.wrong.append(f"{status} {said[-300:]!r}")
        return CUT if status == 200 else FAILED


def _text(stream: bytes) -> str:
    """Of all its events together."""
    events = [json.loads(line[6:]) for line in stream.splitlines() if line.startswith(b"data: {")]
    deltas = [choice["delta"] for event in events for choice in event.get("choices", ())]
    return "".join(delta.get("content") or "" for delta in deltas)
