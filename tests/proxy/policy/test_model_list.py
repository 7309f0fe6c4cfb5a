"""The list of models, and one of it: what a key may use, in the shape its client reads."""

import json
from pathlib import Path
from typing import Any

import httpx2
import openai
import pytest

from proxy.keys.key import Key
from proxy.policy import model_list
from tests.proxy.support.policy import ANNA, PLAIN, ROOT, entry
from tests.proxy.support.proxy import answer, run
from tests.proxy.support.stack import Stack, listening_on, stack
from tests.proxy.support.swap import llama_swap

JSON = "Content-Type: application/json\r\n"
VERSION = {"anthropic-version": "2023-06-01"}


def model(id_: str, *aliases: str, **more: Any) -> dict[str, Any]:
    """As llama-swap 250 lists it."""
    about = {"type": "model", **({"aliases": list(aliases)} if aliases else {})}
    return {"id": id_, "object": "model", "created": 1, "owned_by": "llama-swap",
            "status": {"value": "unloaded"}, "meta": {"llamaswap": about}, **more}  # fmt: skip


def body(*models: dict[str, Any]) -> bytes:
    return json.dumps({"object": "list", "data": list(models)}).encode()


SOME = body(
    model("gpt-oss", "gpt-4o", "claude-sonnet", name="GPT OSS"),
    model("lab/recite", "reciter"),
    model("qwen", "gpt-mini", context_length=4096),
)


def key(*patterns: str) -> Key:
    return Key(name="k", digest=b"", models=patterns)


def ids(entries: list[dict[str, Any]]) -> list[str]:
    return [entry["id"] for entry in entries]


def test_aliases_are_entries_of_their_own_in_the_order_of_names() -> None:
    """As llama-swap lists them, where it is told to."""
    entries = model_list.read(SOME)

    assert ids(entries) == [
        "claude-sonnet", "gpt-4o", "gpt-mini", "gpt-oss", "lab/recite", "qwen", "reciter",
    ]  # fmt: skip
    alias = next(entry for entry in entries if entry["id"] == "gpt-4o")
    assert alias["meta"]["llamaswap"] == {"type": "alias", "modelID": "gpt-oss"}
    assert (alias["name"], alias["status"]) == ("GPT OSS", {"value": "unloaded"})


def test_an_alias_that_llama_swap_lists_is_there_once() -> None:
    """And is llama-swap's own."""
    own = model("gpt-4o") | {"meta": {"llamaswap": {"type": "alias", "modelID": "gpt-oss"}}}
    entries = model_list.read(body(model("gpt-oss", "gpt-4o"), own))

    assert entries == [own, model("gpt-oss", "gpt-4o")]


@pytest.mark.parametrize(
    ("patterns", "seen"),
    [
        ((), ["claude-sonnet", "gpt-4o", "gpt-mini", "gpt-oss", "lab/recite", "qwen", "reciter"]),
        (("gpt-*",), ["gpt-4o", "gpt-mini", "gpt-oss"]),
        (("claude-*",), ["claude-sonnet"]),
        (("lab/*",), ["lab/recite"]),
        (("nothing",), []),
    ],
)
def test_a_key_sees_the_names_it_may_use(patterns: tuple[str, ...], seen: list[str]) -> None:
    """Each by itself, as in requests: an alias without its model, or a model without its alias."""
    assert ids(model_list.of_key(model_list.read(SOME), key(*patterns))) == seen
    assert model_list.of_key(model_list.read(SOME), None) == []


def test_a_key_is_told_no_name_that_it_may_not_use() -> None:
    """Not even beside one that it may."""
    selector = model("pick") | {
        "meta": {"llamaswap": {"type": "selector", "targets": ["qwen", "gpt-oss"], "spillover": {
            "qwen": 1}}}
    }  # fmt: skip
    entries = model_list.read(body(*json.loads(SOME)["data"], selector))

    told = json.dumps(model_list.of_key(entries, key("gpt-mini", "claude-sonnet", "pick")))
    assert "qwen" not in told
    assert "oss" not in told.replace("GPT OSS", "")
    whole = model_list.of_key(entries, key("gpt-*", "qwen"))
    assert [entry["meta"]["llamaswap"].get("aliases") for entry in whole] == [
        None, None, ["gpt-4o"], ["gpt-mini"],
    ]  # fmt: skip
    assert whole[0]["meta"]["llamaswap"]["modelID"] == "gpt-oss"


def page(query: str) -> tuple[list[str], bool]:
    told = model_list.anthropic(
        model_list.read(body(*[model(f"m{n:02}") for n in range(25)])), query
    )
    names = ids(told["data"])
    assert told["first_id"] == (names[0] if names else None)
    assert told["last_id"] == (names[-1] if names else None)
    return names, told["has_more"]


def names(first: int, last: int) -> list[str]:
    return [f"m{n:02}" for n in range(first, last + 1)]


@pytest.mark.parametrize(
    ("query", "page_", "more"),
    [
        ("", names(0, 19), True),
        ("limit=1", names(0, 0), True),
        ("limit=1000", names(0, 24), False),
        ("limit=25", names(0, 24), False),
        ("limit=24&after_id=", names(0, 23), True),
        ("after_id=m19", names(20, 24), False),
        ("after_id=m02&limit=2", names(3, 4), True),
        ("before_id=m02", names(0, 1), False),
        ("before_id=m24&limit=3", names(21, 23), True),
        ("after_id=m24", [], False),
        ("after_id=m03-gone&limit=1", names(4, 4), True),
        ("before_id=m00&unknown=1", [], False),
    ],
)
def test_pages_are_anthropics(query: str, page_: list[str], more: bool) -> None:
    assert page(query) == (page_, more)


@pytest.mark.parametrize(
    "query",
    ["limit=0", "limit=1001", "limit=-1", "limit=x", "limit=1.5", "limit=%2B5", "limit=9999999999",
     "limit=%D9%A1", "after_id=a&before_id=b"],
)  # fmt: skip
def test_what_is_no_page_is_refused(query: str) -> None:
    with pytest.raises(model_list.BadPage):
        page(query)


def test_an_empty_limit_is_the_usual_one() -> None:
    """Query strings are made from what is unset, too."""
    assert page("limit=") == (names(0, 19), True)


# -- With clients


def test_anthropics_client_reads_every_page(tmp_path: Path) -> None:
    import anthropic

    async def situation() -> None:
        async with stack(tmp_path, answer(JSON, SOME)) as proxy:
            client = proxy.anthropic(ROOT)
            found = [model async for model in client.models.list(limit=2)]
            assert [model.id for model in found] == ids(model_list.read(SOME))
            assert {model.type for model in found} == {"model"}
            assert found[1].display_name == "GPT OSS"
            back = [m.id async for m in client.models.list(limit=2, before_id="gpt-oss")]
            assert sorted(back) == ["claude-sonnet", "gpt-4o", "gpt-mini"]
            one = await client.models.retrieve("qwen")
            assert (one.id, one.max_input_tokens) == ("qwen", 4096)
            with pytest.raises(anthropic.BadRequestError, match="less than or equal to 1000"):
                await client.models.list(limit=1001)
            with pytest.raises(anthropic.NotFoundError):
                await proxy.anthropic(ANNA).models.retrieve("lab/recite")
            proxy.write(entry("anna", ANNA, models=["claude-*"]))
            assert [m.id async for m in proxy.anthropic(ANNA).models.list()] == ["claude-sonnet"]

    run(situation())


@pytest.mark.parametrize("prefix", ["/v1/models", "/models"])
@pytest.mark.parametrize("name", ["lab/recite", "lab%2Frecite", "lab%2frecite", "%6cab/recite"])
def test_one_of_the_list_however_its_slash_is_written(
    tmp_path: Path, prefix: str, name: str
) -> None:
    """openai-python encodes it; llama-swap is asked for its list, and for nothing else."""

    async def situation() -> None:
        async with stack(tmp_path, answer(JSON, SOME)) as proxy:
            got = await ask(proxy, "GET", f"{prefix}/{name}", ROOT)
            assert got.status_code == 200
            assert got.json() == model("lab/recite", "reciter")
            head = await ask(proxy, "HEAD", f"{prefix}/{name}", ROOT)
            assert (head.status_code, head.content) == (200, b"")
            assert head.headers["Content-Length"] == got.headers["Content-Length"]
            none = await ask(proxy, "GET", f"{prefix}/{name}", ANNA)
            assert (none.status_code, none.json()["error"]["code"]) == (404, "model_not_found")
            assert {seen.line for seen in proxy.upstream.seen} == {"GET /v1/models HTTP/1.1"}
            assert (await ask(proxy, "GET", f"{prefix}/{name}", "wrong")).status_code == 401

    run(situation())


@pytest.mark.parametrize("name", ["nothing", "qwen/", "%ff", "QWEN", "lab", "lab%2F"])
def test_what_is_not_in_the_list_is_not_found(tmp_path: Path, name: str) -> None:
    """In the client's dialect."""

    async def situation() -> None:
        async with stack(tmp_path, answer(JSON, SOME)) as proxy:
            got = await ask(proxy, "GET", f"/v1/models/{name}", PLAIN)
            assert (got.status_code, got.json()["error"]["code"]) == (404, "model_not_found")
            got = await ask(proxy, "GET", f"/v1/models/{name}", PLAIN, **VERSION)
            assert (got.status_code, got.json()["error"]["type"]) == (404, "not_found_error")
            assert {seen.line for seen in proxy.upstream.seen} == {"GET /v1/models HTTP/1.1"}

    run(situation())


def test_a_list_that_is_none_is_told_as_llama_swaps_fault(tmp_path: Path) -> None:
    async def situation() -> None:
        for found in (b"[]", b"{}", b'{"data":[7]}', b'{"data":[{}]}', b"x", b'{"data":null}'):
            async with stack(tmp_path, answer(JSON, found)) as proxy:
                for path in ("/v1/models", "/v1/models/qwen"):
                    got = await ask(proxy, "GET", path, ROOT)
                    assert (got.status_code, got.json()["error"]["code"]) == (502, "upstream_error")

    run(situation())


async def ask(
    proxy: Stack, method: str, path: str, key_: str, **headers: str
) -> httpx2.Response:  # fmt: skip
    """With the path as it is."""
    async with httpx2.AsyncClient() as client:
        url = httpx2.URL(proxy.url).copy_with(raw_path=path.encode())
        shown = {"Authorization": f"Bearer {key_}"}
        return await client.request(method, url, headers=shown | headers)


def test_llama_swaps_own_list(tmp_path: Path) -> None:
    """With aliases, whether it lists them itself or not."""
    models = {
        "lab/recite": {"cmd": "true", "proxy": "http://127.0.0.1:1", "aliases": ["gpt-4o"]},
        "hidden": {"cmd": "true", "proxy": "http://127.0.0.1:1", "unlisted": True},
    }
    for includes in (False, True):
        with llama_swap(tmp_path, models, includeAliasesInList=includes) as port:

            async def situation() -> None:
                async with listening_on(tmp_path, port) as proxy:
                    listed = (await proxy.openai(ROOT).models.list()).data
                    assert [each.id for each in listed] == ["gpt-4o", "lab/recite"]
                    found = await proxy.openai(ROOT).models.retrieve("lab/recite")
                    assert (found.id, found.owned_by) == ("lab/recite", "llama-swap")
                    told = [each.id async for each in proxy.anthropic(ANNA).models.list()]
                    assert told == ["gpt-4o"]
                    with pytest.raises(openai.NotFoundError):
                        await proxy.openai(ANNA).models.retrieve("lab/recite")

            run(situation())
