import asyncio
import hashlib
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx2
import pytest
from aiohttp import web
from huggingface_hub import HfApi, hf_hub_download, snapshot_download
from huggingface_hub.errors import (
    GatedRepoError,
    RemoteEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.hf_api import RepoFile, RepoFolder

from lab.hub import create_app

REPO = "herd/recite-GGUF"
WEIGHTS = bytes(range(256)) * 2000
README = b"# A model that recites\n"


class Hub:
    """A hub in a thread of its own, with one repository."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever)
        self.thread.start()
        self.runner = web.AppRunner(create_app(root))
        self.port = self.wait(self.start())
        self.url = f"http://127.0.0.1:{self.port}"
        self.api = HfApi(endpoint=self.url, token=False)
        self.file_url = f"{self.url}/{REPO}/resolve/main/sub/recite-00002-of-00003.gguf"

    async def start(self) -> int:
        await self.runner.setup()
        await web.TCPSite(self.runner, "127.0.0.1", 0).start()
        return int(self.runner.addresses[0][1])

    def wait(self, coroutine: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(10)

    def stop(self) -> None:
        self.wait(self.runner.cleanup())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join()
        self.loop.close()

    def faults(self, *faults: dict[str, Any]) -> None:
        httpx2.post(f"{self.url}/_lab/faults", json=list(faults)).raise_for_status()

    def stats(self) -> dict[str, Any]:
        return dict(httpx2.get(f"{self.url}/_lab/stats").json())

    def curl(self, *arguments: str) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(
            ["curl", "-sS", *arguments], capture_output=True, timeout=20, check=False
        )


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[Hub]:
    files = tmp_path / "hub" / REPO
    (files / "sub").mkdir(parents=True)
    (files / "README.md").write_bytes(README)
    (files / "sub" / "recite-00002-of-00003.gguf").write_bytes(WEIGHTS)
    hub = Hub(tmp_path / "hub")
    yield hub
    hub.stop()


def test_model_info_tells_sizes_and_checksums(hub: Hub) -> None:
    info = hub.api.model_info(REPO, revision="main", files_metadata=True)

    assert info.sha is not None
    assert len(info.sha) == 40
    assert info.siblings is not None
    readme, weights = info.siblings
    assert (readme.rfilename, readme.size, readme.lfs) == ("README.md", len(README), None)
    assert weights.lfs is not None
    assert weights.lfs.sha256 == hashlib.sha256(WEIGHTS).hexdigest()
    assert weights.size == len(WEIGHTS)
    git = hashlib.sha1(b"blob %d\0" % len(README) + README).hexdigest()
    assert readme.blob_id == git


def test_the_commit_follows_the_content(hub: Hub) -> None:
    before = hub.api.repo_info(REPO).sha
    assert before is not None
    assert hub.api.repo_info(REPO, revision=before).sha == before

    (hub.root / REPO / "README.md").write_text("changed")

    assert hub.api.repo_info(REPO).sha != before
    with pytest.raises(RevisionNotFoundError):
        hub.api.repo_info(REPO, revision=before)


def test_the_tree_is_listed_with_and_without_folders_opened(hub: Hub) -> None:
    top = list(hub.api.list_repo_tree(REPO))
    whole = list(hub.api.list_repo_tree(REPO, recursive=True))

    assert sorted(type(each).__name__ for each in top) == ["RepoFile", "RepoFolder"]
    assert {each.path for each in whole if isinstance(each, RepoFolder)} == {"sub"}
    weights = next(e for e in whole if isinstance(e, RepoFile) and e.path.endswith("gguf"))
    assert weights.lfs is not None
    assert (weights.size, weights.lfs.size) == (len(WEIGHTS), len(WEIGHTS))
    assert [e.path for e in hub.api.list_repo_tree(REPO, "sub")] == [weights.path]
    assert [e.path for e in hub.api.get_paths_info(REPO, ["README.md", "no"])] == ["README.md"]


def test_the_client_downloads_file_and_snapshot(hub: Hub, tmp_path: Path) -> None:
    one = hf_hub_download(
        REPO, "README.md", endpoint=hub.url, local_dir=tmp_path / "one", token=False
    )
    whole = snapshot_download(REPO, endpoint=hub.url, cache_dir=tmp_path / "cache", token=False)

    assert Path(one).read_bytes() == README
    assert (Path(whole) / "sub" / "recite-00002-of-00003.gguf").read_bytes() == WEIGHTS
    assert Path(whole).name == hub.api.repo_info(REPO).sha


def test_the_command_line_downloads_and_verifies(hub: Hub, tmp_path: Path) -> None:
    hf = str(Path(sys.executable).with_name("hf"))
    environment = {**os.environ, "HF_ENDPOINT": hub.url, "HF_HOME": str(tmp_path / "home")}
    there = str(tmp_path / "there")
    for command in (
        ["download", REPO, "--include", "*.gguf", "--local-dir", there],
        ["download", REPO, "--local-dir", there],
        ["cache", "verify", REPO, "--local-dir", there, "--fail-on-missing-files"],
    ):
        subprocess.run([hf, *command], env=environment, check=True, capture_output=True, timeout=40)

    assert (Path(there) / "sub" / "recite-00002-of-00003.gguf").read_bytes() == WEIGHTS
    assert hub.stats()["files"][f"{REPO}/sub/recite-00002-of-00003.gguf"] == len(WEIGHTS)


def test_lfs_files_are_served_behind_a_signed_redirect(hub: Hub) -> None:
    answer = httpx2.head(hub.file_url, headers={"Authorization": "Bearer hf_x"})

    assert answer.status_code == 302
    assert answer.headers["X-Repo-Commit"] == hub.api.repo_info(REPO).sha
    assert answer.headers["X-Linked-Size"] == str(len(WEIGHTS))
    assert answer.headers["X-Linked-ETag"] == f'"{hashlib.sha256(WEIGHTS).hexdigest()}"'
    assert not [name for name in answer.headers if "xet" in name.lower()]
    there = answer.headers["Location"]
    assert httpx2.get(there).content == WEIGHTS
    assert httpx2.get(there.replace("Signature=", "Signature=0")).status_code == 403
    assert httpx2.get(f"{hub.url}{urlsplit(there).path}").status_code == 403
    log = hub.stats()["log"]
    assert [(seen["stage"], seen["authorization"]) for seen in log if seen["stage"] != "api"] == [
        ("resolve", True),
        ("body", False),
    ]


def test_curl_resumes_where_it_stopped(hub: Hub, tmp_path: Path) -> None:
    part = tmp_path / "part"
    part.write_bytes(WEIGHTS[:1000])
    result = hub.curl("-fL", "-C", "-", "-o", str(part), hub.file_url)

    assert result.returncode == 0
    assert part.read_bytes() == WEIGHTS
    seen = hub.stats()["log"][-1]
    assert (seen["range"], seen["status"]) == ("bytes=1000-", 206)
    assert seen["sent"] == len(WEIGHTS) - 1000


def test_ranges_follow_the_standard(hub: Hub) -> None:
    def get(headers: dict[str, str]) -> httpx2.Response:
        return httpx2.get(hub.file_url, headers=headers, follow_redirects=True)

    etag = get({}).headers["ETag"]
    size = len(WEIGHTS)
    part = get({"Range": "bytes=10-19", "If-Range": etag})
    assert (part.status_code, part.content) == (206, WEIGHTS[10:20])
    assert part.headers["Content-Range"] == f"bytes 10-19/{size}"
    assert get({"Range": "bytes=-5"}).content == WEIGHTS[-5:]
    assert get({"Range": "bytes=10-", "If-Range": '"other"'}).status_code == 200
    beyond = get({"Range": f"bytes={size}-"})
    assert (beyond.status_code, beyond.headers["Content-Range"]) == (416, f"bytes */{size}")
    assert get({"If-None-Match": etag}).status_code == 304


@pytest.mark.parametrize(
    ("ask", "error"),
    [
        (lambda api: api.model_info("herd/none"), RepositoryNotFoundError),
        (lambda api: api.model_info("herd/none", token="hf_x"), RepositoryNotFoundError),
        (lambda api: api.model_info(REPO, revision="v9"), RevisionNotFoundError),
        (lambda api: list(api.list_repo_tree(REPO, "none")), RemoteEntryNotFoundError),
        (lambda api: api.get_hf_file_metadata(url=url(api, "none")), RemoteEntryNotFoundError),
    ],
)
def test_what_is_missing_is_told_as_by_the_hub(
    hub: Hub, ask: Callable[[HfApi], object], error: type[Exception]
) -> None:
    with pytest.raises(error):
        ask(hub.api)


def url(api: HfApi, path: str) -> str:
    return f"{api.endpoint}/{REPO}/resolve/main/{path}"


def test_a_gated_repository_wants_its_token(hub: Hub) -> None:
    (hub.root / REPO / ".gated").write_text("hf_right\n")

    assert hub.api.model_info(REPO).gated == "manual"
    for token in (False, "hf_wrong"):
        with pytest.raises(GatedRepoError):
            hub.api.get_hf_file_metadata(url=url(hub.api, "README.md"), token=token)
    assert hub.api.get_hf_file_metadata(url=url(hub.api, "README.md"), token="hf_right").etag
    assert [seen["status"] for seen in hub.stats()["log"]][-3:] == [401, 403, 200]
    assert "hf_right" not in str(hub.stats())


def test_faults_are_played_so_many_times_and_then_all_is_well(hub: Hub) -> None:
    hub.faults(
        {"path": "*.gguf", "status": 500, "times": 1},
        {"path": "*.gguf", "status": 429, "retry_after": 1, "times": 1},
        {"path": "*.gguf", "drop_after": 100_000, "times": 1},
        {"path": "*.gguf", "corrupt": 70_000, "times": 1},
        {"path": REPO, "on": "api", "status": 503, "times": 1},
    )

    assert hub.curl("-fL", hub.file_url).returncode == 22
    limited = httpx2.get(hub.file_url, follow_redirects=True)
    assert (limited.status_code, limited.headers["Retry-After"]) == (429, "1")
    dropped = hub.curl("-fL", hub.file_url)
    assert (dropped.returncode, len(dropped.stdout)) == (18, 100_000)
    damaged = httpx2.get(hub.file_url, follow_redirects=True).content
    assert [i for i, byte in enumerate(damaged) if byte != WEIGHTS[i]] == [70_000]
    assert httpx2.get(hub.file_url, follow_redirects=True).content == WEIGHTS
    info = f"{hub.url}/api/models/{REPO}"
    assert [httpx2.get(info).status_code for _ in range(2)] == [503, 200]


def test_a_slow_link_takes_its_time(hub: Hub) -> None:
    hub.faults({"rate": 1_000_000})

    answer = httpx2.get(hub.file_url, follow_redirects=True)

    assert answer.content == WEIGHTS
    assert answer.elapsed.total_seconds() >= 0.3


def test_reset_forgets_faults_and_figures(hub: Hub) -> None:
    hub.faults({"status": 500})
    assert httpx2.get(hub.file_url, follow_redirects=True).status_code == 500

    httpx2.post(f"{hub.url}/_lab/reset")

    assert hub.stats() == {"requests": 0, "bytes": 0, "files": {}, "log": [], "faults": []}
    assert httpx2.get(hub.file_url, follow_redirects=True).status_code == 200


def test_an_unknown_fault_is_refused(hub: Hub) -> None:
    answer = httpx2.post(f"{hub.url}/_lab/faults", json={"statsu": 500})

    assert answer.status_code == 400
    assert "statsu" in answer.json()["error"]


def test_the_token_stays_with_the_hub(hub: Hub, tmp_path: Path) -> None:
    (hub.root / REPO / ".gated").write_text("hf_right\n")
    file = "sub/recite-00002-of-00003.gguf"

    path = hf_hub_download(REPO, file, endpoint=hub.url, local_dir=tmp_path, token="hf_right")
    curl = hub.curl("-fL", "-H", "Authorization: Bearer hf_right", hub.file_url)

    assert Path(path).read_bytes() == curl.stdout == WEIGHTS
    seen = {(each["stage"], each["authorization"]) for each in hub.stats()["log"]}
    assert seen == {("resolve", True), ("body", False)}
