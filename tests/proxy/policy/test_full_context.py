"""A prompt that is too long for the real llama-server, as clients read it: so that agents compact.

Claude Code looks for `prompt is too long: N tokens > M maximum`; OpenAI's clients read the fields.
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from proxy.app import Settings, create_engine
from proxy.keys.store import KeyStore
from proxy.policy.policy import HerdPolicy, PolicyState
from tests.proxy.support.llama_server import llama_server
from tests.proxy.support.policy import ANNA, STANDARD
from tests.proxy.support.proxy import run

MESSAGES = [{"role": "user", "content": "All awake. " * 400}]


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    with llama_server(tmp_path_factory.mktemp("server"), "-np", "1", "-c", "256") as number:
        yield number


def refused(directory: Path, port: int, path: str, **body: Any) -> tuple[int, Any]:
    """Status and answer of a request with a key, through the proxy under its policy."""

    async def situation() -> tuple[int, Any]:
        (directory / "config.json").write_text(json.dumps({"apiKeys": STANDARD}))
        keys = KeyStore(directory / "config.json")
        settings = Settings(
            keys=keys, upstream=f"http://127.0.0.1:{port}", policy=HerdPolicy(PolicyState(keys))
        )
        engine = create_engine(settings)
        _, own = await engine.listen("127.0.0.1", 0)
        try:
            async with (
                aiohttp.ClientSession(headers={"Authorization": f"Bearer {ANNA}"}) as client,
                client.post(
                    f"http://127.0.0.1:{own}{path}", json={"model": "gpt-oss", **body}
                ) as response,
            ):
                return response.status, await response.json(content_type=None)
        finally:
            engine.close()
            await engine.closed(1)

    return run(situation(), 60)


@pytest.mark.parametrize("stream", [False, True])
def test_anthropic_clients_read_their_own_words(tmp_path: Path, port: int, stream: bool) -> None:
    status, said = refused(
        tmp_path, port, "/v1/messages", messages=MESSAGES, max_tokens=8, stream=stream
    )

    assert status == 400
    assert said["type"] == "error"
    assert said["error"]["type"] == "invalid_request_error"
    found = re.fullmatch(
        r"prompt is too long: (\d+) tokens > (\d+) maximum", said["error"]["message"]
    )
    assert found, said
    assert int(found[1]) > int(found[2]) == 256


@pytest.mark.parametrize("stream", [False, True])
def test_openai_clients_keep_every_field(tmp_path: Path, port: int, stream: bool) -> None:
    status, said = refused(tmp_path, port, "/v1/chat/completions", messages=MESSAGES, stream=stream)

    assert status == 400
    error = said["error"]
    assert error["type"] == "exceed_context_size_error"
    assert error["n_ctx"] == 256
    assert error["n_prompt_tokens"] > 256
    assert error["code"] is None or isinstance(error["code"], str)


def test_responses_are_refused_alike(tmp_path: Path, port: int) -> None:
    status, said = refused(tmp_path, port, "/v1/responses", input=MESSAGES[0]["content"])

    assert status == 400
    assert said["error"]["n_ctx"] == 256
