"""A Hugging Face Hub for one machine: enough of its API for huggingface_hub, `hf` and curl.

Files are kept by LFS rules and served by redirect to signed addresses; there are no xet headers,
so clients use plain HTTP. Tests watch and disturb it under /_lab/ (see control.py).
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

from aiohttp import web

from lab.hub.body import faulty, send
from lab.hub.control import Control, Fault, Seen, Stage
from lab.hub.store import Entry, Repo, load, moved

CONTROL = web.AppKey("control", Control)
ROOT = web.AppKey("root", Path)

MODEL = "/{org}/{repo}"
FILE = MODEL + "/resolve/{revision}/{path:.+}"
# Any secret will do: it only has to refuse addresses nobody was given.
SECRET = b"lab"
SIGNED_SECONDS = 3600


def create_app(root: Path) -> web.Application:
    """Serve the repositories `root/<org>/<repo>/...`, read afresh on every request."""
    app = web.Application(client_max_size=1 << 20)
    app[ROOT] = root
    app[CONTROL] = Control()
    api = "/api/models" + MODEL
    app.add_routes(
        [
            web.get(api, _model_info),
            web.get(api + "/revision/{revision}", _model_info),
            web.get(api + "/tree/{revision}{path:(/.*)?}", _tree),
            web.post(api + "/paths-info/{revision}", _paths_info),
            web.get(api + "/refs", _refs),
            web.get("/api/whoami-v2", _whoami),
            web.get("/cdn" + MODEL + "/{sha256}/{path:.+}", _cdn),
            web.get(FILE, _resolve),
            web.get("/_lab/stats", _stats),
            web.post("/_lab/reset", _reset),
            web.post("/_lab/forget", _forget),
            web.post("/_lab/faults", _faults),
        ]
    )
    return app


# -- control


async def _stats(request: web.Request) -> web.Response:
    return web.json_response(request.app[CONTROL].stats())


async def _reset(request: web.Request) -> web.Response:
    request.app[CONTROL].reset()
    return web.json_response({})


async def _forget(request: web.Request) -> web.Response:
    request.app[CONTROL].forget()
    return web.json_response({})


async def _faults(request: web.Request) -> web.Response:
    """Add one fault, or a list of them."""
    data = await request.json()
    try:
        faults = [Fault.parse(each) for each in (data if isinstance(data, list) else [data])]
    except (TypeError, ValueError) as error:
        return web.json_response({"error": str(error)}, status=400)
    request.app[CONTROL].faults.extend(faults)
    return web.json_response(request.app[CONTROL].stats()["faults"])


# -- what the Hub says about repositories


async def _model_info(request: web.Request) -> web.StreamResponse:
    return await _guarded(request, "api", _send_model_info)


async def _send_model_info(request: web.Request, repo: Repo, seen: Seen) -> web.Response:
    blobs = request.query.get("blobs", "").lower() in ("1", "true")
    siblings: list[dict[str, Any]] = [{"rfilename": path} for path in repo.entries]
    if blobs:
        for sibling, entry in zip(siblings, repo.entries.values(), strict=True):
            sibling |= {"size": entry.size, "blobId": entry.oid}
            if entry.lfs:
                sibling["lfs"] = {
                    "sha256": entry.sha256,
                    "size": entry.size,
                    "pointerSize": entry.pointer_size,
                }
    return web.json_response(
        {
            "_id": repo.commit[:24],
            "id": repo.name,
            "modelId": repo.name,
            "author": repo.name.split("/")[0],
            "sha": repo.commit,
            "lastModified": "2026-01-01T00:00:00.000Z",
            "createdAt": "2026-01-01T00:00:00.000Z",
            "private": False,
            "gated": "manual" if repo.gate else False,
            "disabled": False,
            "downloads": 0,
            "likes": 0,
            "tags": [],
            "siblings": siblings,
            "usedStorage": sum(entry.size for entry in repo.entries.values()),
        }
    )


async def _tree(request: web.Request) -> web.StreamResponse:
    return await _guarded(request, "api", _send_tree)


async def _send_tree(request: web.Request, repo: Repo, seen: Seen) -> web.Response:
    inside = request.match_info["path"].strip("/")
    recursive = request.query.get("recursive", "").lower() in ("1", "true")
    prefix = f"{inside}/" if inside else ""
    below = [entry for path, entry in repo.entries.items() if path.startswith(prefix)]
    if inside and not below:
        return _error(404, "EntryNotFound", f"{inside} does not exist on this revision")
    answer: dict[str, dict[str, Any]] = {}
    for entry in below:
        parts = entry.path[len(prefix) :].split("/")
        for depth in range(1, len(parts) if recursive else min(len(parts), 2)):
            folder = prefix + "/".join(parts[:depth])
            oid = hashlib.sha1(folder.encode()).hexdigest()
            answer.setdefault(folder, _tree_item("directory", folder, 0, oid))
        if recursive or len(parts) == 1:
            answer[entry.path] = _tree_file(entry)
    return web.json_response(list(answer.values()))


async def _paths_info(request: web.Request) -> web.StreamResponse:
    return await _guarded(request, "api", _send_paths_info)


async def _send_paths_info(request: web.Request, repo: Repo, seen: Seen) -> web.Response:
    if request.content_type == "application/json":
        paths = (await request.json()).get("paths", [])
    else:
        paths = (await request.post()).getall("paths", [])
    wanted = [paths] if isinstance(paths, str) else paths
    return web.json_response(
        [_tree_file(repo.entries[path]) for path in wanted if path in repo.entries]
    )


def _tree_item(kind: str, path: str, size: int, oid: str) -> dict[str, Any]:
    return {"type": kind, "oid": oid, "size": size, "path": path}


def _tree_file(entry: Entry) -> dict[str, Any]:
    item = _tree_item("file", entry.path, entry.size, entry.oid)
    if entry.lfs:
        item["lfs"] = {
            "oid": entry.sha256,
            "size": entry.size,
            "pointerSize": entry.pointer_size,
        }
    return item


async def _refs(request: web.Request) -> web.StreamResponse:
    return await _guarded(request, "api", _send_refs)


async def _send_refs(request: web.Request, repo: Repo, seen: Seen) -> web.Response:
    main = {"name": "main", "ref": "refs/heads/main", "targetCommit": repo.commit}
    return web.json_response({"branches": [main], "converts": [], "tags": []})


async def _whoami(request: web.Request) -> web.Response:
    if not _token(request):
        return _error(401, None, "Invalid username or password.")
    return web.json_response({"type": "user", "id": "0" * 24, "name": "herder", "orgs": []})


# -- files


async def _resolve(request: web.Request) -> web.StreamResponse:
    return await _guarded(request, "resolve", _send_file)


async def _send_file(request: web.Request, repo: Repo, seen: Seen) -> web.StreamResponse:
    if repo.gate and _token(request) != repo.gate:
        # Metadata of a gated repository is public, its files are not.
        asked = "" if _token(request) else " You must be authenticated to access it."
        return _error(
            403 if _token(request) else 401,
            "GatedRepo",
            f"Access to model {repo.name} is restricted.{asked}",
        )
    entry = repo.entries.get(request.match_info["path"])
    headers = {"X-Repo-Commit": repo.commit}
    if entry is None:
        return _error(404, "EntryNotFound", "Entry not found", headers)
    if not entry.lfs:
        headers["ETag"] = f'"{entry.oid}"'
        return await send(request, entry, headers, request.app[CONTROL], seen)
    headers |= {
        "X-Linked-Size": str(entry.size),
        "X-Linked-ETag": f'"{entry.sha256}"',
        "Accept-Ranges": "bytes",
        "Location": _cdn_origin(request) + _signed(repo, entry),
    }
    return web.Response(status=302, headers=headers, text="Found. Redirecting")


def _cdn_origin(request: web.Request) -> str:
    """This server by its other loopback name: clients tell the CDN by its host, take the metadata
    from the redirect if it leads to another one, and leave their token behind."""
    other = {"127.0.0.1": "localhost", "localhost": "127.0.0.1"}
    host = request.url.host or ""
    return f"http://{other.get(host, host)}:{request.url.port}"


def _signed(repo: Repo, entry: Entry) -> str:
    path = f"/cdn/{repo.name}/{entry.sha256}/{entry.path}"
    expires = str(int(time.time()) + SIGNED_SECONDS)
    name = quote(f'inline; filename="{Path(entry.path).name}";')
    return (
        f"{quote(path)}?response-content-disposition={name}&Expires={expires}"
        f"&Signature={_signature(path, expires)}&Key-Pair-Id=LAB"
    )


def _signature(path: str, expires: str) -> str:
    return hmac.new(SECRET, f"{path}?{expires}".encode(), hashlib.sha256).hexdigest()


async def _cdn(request: web.Request) -> web.StreamResponse:
    """The signature alone grants access: clients drop their token on the way to another host."""
    expires = request.query.get("Expires", "0")
    signature = request.query.get("Signature", "")
    if not hmac.compare_digest(signature, _signature(request.path, expires)) or (
        time.time() > int(expires)
    ):
        return web.Response(status=403, text="<Error><Code>AccessDenied</Code></Error>")
    name, path = _name(request), request.match_info["path"]
    seen = request.app[CONTROL].note(
        Seen(request.method, "body", f"{name}/{path}", "Authorization" in request.headers)
    )
    repo = await asyncio.to_thread(load, request.app[ROOT], name)
    entry = repo.entries.get(path) if repo else None
    if entry is None or entry.sha256 != request.match_info["sha256"]:
        seen.status = 404
        return web.Response(status=404, text="<Error><Code>NoSuchKey</Code></Error>")
    # Not the checksum: on the real one the ETag behind the redirect is the storage's own.
    etag = hashlib.md5(entry.sha256.encode()).hexdigest()
    return await send(request, entry, {"ETag": f'"{etag}"'}, request.app[CONTROL], seen)


# -- common to all of the Hub's own routes

Handler = Callable[[web.Request, Repo, Seen], Awaitable[web.StreamResponse]]


async def _guarded(request: web.Request, stage: Stage, handler: Handler) -> web.StreamResponse:
    """Note the request, play the faults, find repository and revision, then answer."""
    control, name = request.app[CONTROL], _name(request)
    path = f"{name}/{request.match_info['path']}" if stage == "resolve" else name
    seen = control.note(Seen(request.method, stage, path, "Authorization" in request.headers))
    seen.range = request.headers.get("Range")
    fault = control.fault(path, stage)
    if fault and fault.delay:
        await asyncio.sleep(fault.delay)
    repo = await asyncio.to_thread(load, request.app[ROOT], name)
    revision = request.match_info.get("revision", "main")
    response: web.StreamResponse
    if fault and fault.status:
        response = faulty(fault)
    elif now := await asyncio.to_thread(moved, request.app[ROOT], name):
        there = str(request.rel_url).replace(name, now, 1)
        response = web.Response(status=307, headers={"Location": there})
    elif repo is None and _token(request) is None:
        # Without a token the Hub does not tell a private repository from one that is not there.
        # The code is ours: of a 401 over plain HTTP huggingface_hub would make no sense.
        response = _error(401, "RepoNotFound", "Invalid username or password.")
    elif repo is None:
        response = _error(404, "RepoNotFound", "Repository not found")
    elif revision not in ("main", "refs/heads/main", repo.commit, *repo.refs):
        response = _error(404, "RevisionNotFound", f"Invalid rev id: {revision}")
    else:
        response = await handler(request, repo, seen)
    seen.status = response.status
    return response


def _name(request: web.Request) -> str:
    return f"{request.match_info['org']}/{request.match_info['repo']}"


def _token(request: web.Request) -> str | None:
    kind, _, token = request.headers.get("Authorization", "").partition(" ")
    return token if kind.lower() == "bearer" and token else None


def _error(
    status: int, code: str | None, message: str, headers: dict[str, str] | None = None
) -> web.Response:
    told = {"X-Error-Message": message, **({"X-Error-Code": code} if code else {})}
    return web.Response(
        status=status,
        headers={**(headers or {}), **told},
        text=json.dumps({"error": message}),
        content_type="application/json",
    )
