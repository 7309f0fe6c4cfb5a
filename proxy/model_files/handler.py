"""Verified model files for the other Macs of a site: the list of them, and their bytes.

They are addressed by content, so a path never comes from a request.
"""

import json

from proxy.exchange import Error, Fetch, File, LocalHandler, Reply, Request
from proxy.http.byte_ranges import NotThere, part_of
from proxy.model_files.verified import VerifiedFiles

PREFIX = "/files/"
"""Of the path of a file; its SHA-256 follows."""


class Files:
    """The handlers."""

    def __init__(self, shelf: VerifiedFiles) -> None:
        self._shelf = shelf

    async def listed(self, request: Request, body: bytes, fetch: Fetch) -> Reply:
        """What is whole here, and how much of what is not."""
        stock = await self._shelf.stock()
        sizes = dict(stock.under_way)
        sizes |= {sha256: (file.size, file.size) for sha256, file in stock.whole.items()}
        data = [
            {"sha256": sha256, "size": size, "have": have}
            for sha256, (size, have) in sorted(sizes.items())
        ]
        headers = [("Content-Type", "application/json"), ("Cache-Control", "no-store")]
        return Reply(status=200, headers=headers, body=json.dumps({"data": data}).encode())

    def sent(self, error: Error) -> LocalHandler:
        """The file, or the part of it that is asked for."""

        async def send(request: Request, body: bytes, fetch: Fetch) -> Reply | File:
            sha256 = request.path.removeprefix(PREFIX)
            found = await self._shelf.open(sha256)
            if found is None:
                return error(404, "not_found", "This file is not whole here.", request)
            content, size = found
            tag = f'"{sha256}"'
            asked = request.headers.getall("Range", []) if request.method == "GET" else []
            try:
                part = part_of(size, asked, request.headers.getall("If-Range", []), tag)
            except NotThere:
                message = f"The file has {size} bytes; this range begins behind them."
                plain = error(416, "range_not_satisfiable", message, request)
                headers = [*plain.headers, ("Content-Range", f"bytes */{size}")]
                return Reply(status=416, headers=headers, body=plain.body)
            headers = [
                ("Content-Type", "application/octet-stream"),
                ("Accept-Ranges", "bytes"),
                ("ETag", tag),
            ]
            if part is not None:
                headers.append(("Content-Range", f"bytes {part.start}-{part.stop - 1}/{size}"))
            whole = part or range(size)
            return File(
                status=200 if part is None else 206,
                headers=headers,
                content=content,
                offset=whole.start,
                length=len(whole),
            )

        return send
