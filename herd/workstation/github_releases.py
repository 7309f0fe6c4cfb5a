"""Asks GitHub, from the workstation, for a release of llama.cpp or llama-swap.

GITHUB_API_URL is another API than GitHub's own, and GITHUB_TOKEN lets more requests through.
"""

import http.client
import json
import os
import re
from collections.abc import Mapping
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import quote
from urllib.request import Request, urlopen

from pydantic import ValidationError

from herd.core.settings.release import Release

REPOSITORIES = {"llama.cpp": "ggml-org/llama.cpp", "llama-swap": "mostlygeek/llama-swap"}
# As llama.cpp's .github/workflows/release.yml and llama-swap's .goreleaser.yaml name them.
_ASSETS = {
    "llama.cpp": r"llama-[^-]+-bin-macos-arm64\.tar\.gz",
    "llama-swap": r"llama-swap_.+_darwin_arm64\.tar\.gz",
}


def look(software: str, tag: str | None) -> Release:
    """A release by its tag, the newest one without. Raises ValueError, in words."""
    repository = REPOSITORIES[software]
    api = os.environ.get("GITHUB_API_URL", "https://api.github.com").rstrip("/")
    which = f"tags/{quote(tag, safe='')}" if tag else "latest"
    found = _get(f"{api}/repos/{repository}/releases/{which}", f"{repository} {tag or 'latest'}")
    version = str(found.get("tag_name"))
    listed = found.get("assets")
    assets = [each for each in listed or [] if isinstance(each, Mapping)]
    right = [a for a in assets if re.fullmatch(_ASSETS[software], str(a.get("name")))]
    if len(right) != 1:
        raise ValueError(
            f"{repository} {version} has {len(right)} archives for macOS on arm64 as .tar.gz, not "
            "one; choose another release"
        )
    url, digest = str(right[0].get("browser_download_url")), right[0].get("digest")
    if not digest:
        raise ValueError(
            f"GitHub has no SHA-256 of {url}, as it is from before June 2025: "
            f"`curl -fsSL {url} | shasum -a 256` makes one"
        )
    try:
        sha256 = str(digest).removeprefix("sha256:")
        return Release(version=version, url=url, sha256=sha256)
    except ValidationError as error:
        told = "; ".join(f"{each['loc'][0]}: {each['msg']}" for each in error.errors())
        raise ValueError(f"{repository} {version} cannot be pinned: {told}") from None


def as_setting(software: str, release: Release) -> str:
    """The lines of group_data that pin it."""
    setting = f"{software.replace('.', '_').replace('-', '_')}_release"
    lines = (f'    "{name}": "{value}",' for name, value in release.model_dump().items())
    return "\n".join([f"{setting} = {{", *lines, "}"])


def _get(url: str, what: str) -> dict[str, Any]:
    headers = {"Accept": "application/vnd.github+json", "User-Agent": "llama-herd"}
    if token := os.environ.get("GITHUB_TOKEN"):
        headers["Authorization"] = f"Bearer {token}"
    try:
        with urlopen(Request(url, headers=headers), timeout=30) as answer:
            found = json.load(answer)
    except HTTPError as error:
        if error.code == 404:
            raise ValueError(f"there is no release {what}") from None
        more = " (GITHUB_TOKEN lets more requests through)" if error.code in (403, 429) else ""
        raise ValueError(f"{url} answers HTTP {error.code} {error.reason}{more}") from None
    except (URLError, OSError, http.client.HTTPException) as error:
        raise ValueError(f"{url} is not reachable: {getattr(error, 'reason', error)}") from None
    except ValueError:
        raise ValueError(f"{url} does not answer as GitHub does") from None
    if not isinstance(found, dict):
        raise ValueError(f"{url} does not answer as GitHub does")
    return found
