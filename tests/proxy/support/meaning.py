"""Requests that could mean one model here and another one for llama-swap, by the million.

Each is made of what clients send and what attackers try: heads, queries, JSON, forms and multipart
in all their dialects, names spelled in every way, and a few bytes changed. A case has its number,
which makes it again.
"""

import json
import random
from collections.abc import Callable
from urllib.parse import quote

POSTS = ["/v1/chat/completions", "/v1/messages", "/v1/audio/transcriptions", "/v/responses",
         "/completion", "/v1/images/edits", "/v1/embeddings", "/rerank"]  # fmt: skip
GETS = ["/props", "/v1/audio/voices", "/sdapi/v1/loras"]
KINDS = [
    None, "application/json", "Application/JSON", "application/json; charset=utf-8",
    "application/json; charset=utf-16", "text/json", "text/plain", "application/vnd.api+json",
    "application/x-www-form-urlencoded", "application/x-www-form-urlencoded; charset=utf-8",
    "application/jsonx", "x-application/json", "multipart/mixed; boundary=B", "multipart/form-data",
    "multipart/form-data; boundary=application/json", "application/json; boundary=B", "*/*", "",
    "text/plain; a=multipart/form-data; boundary=B", "application/json, multipart/form-data",
    'multipart/form-data; x="application/json"; boundary=B', "multipart/form-data;; boundary=B",
]  # fmt: skip
FORMS = [
    "multipart/form-data; boundary=B", 'multipart/form-data; boundary="B"',
    "Multipart/Form-Data; Boundary=B", "multipart/form-data; charset=utf-8; boundary=B",
    "multipart/form-data; boundary=B; boundary=C", "multipart/form-data; boundary*=utf-8''B",
    "multipart/form-data; boundary*0=B", 'multipart/form-data; boundary="\\B"',
    "multipart/form-data;boundary=B;", "multipart/form-data; boundary=B, application/json",
]  # fmt: skip
HEADERS = [
    "Connection: Content-Type\r\n", "Connection: content-length, content-type\r\n",
    "Content-Type: application/json\r\n", "Content-Type: multipart/form-data; boundary=B\r\n",
    "Content-Encoding: identity\r\n", "Content-Encoding: gzip\r\n", "Content-Type : text/plain\r\n",
    "X-HTTP-Method-Override: GET\r\n", "Content-Transfer-Encoding: base64\r\n",
    "Transfer-Encoding: identity\r\n", "Accept: text/plain\r\n", "TE: trailers\r\n",
    "X-Original-URL: /upstream/secret\r\n", "X-Model: secret\r\n", "Trailer: Content-Type\r\n",
    "content-type: x\r\n", "X-Api-Key: secret\r\n", "Content-Disposition: form-data\r\n",
]  # fmt: skip
CRAFT = [
    b'"model":"secret"', b"model=secret&", b"&model=secret", b'"', b"\\", b"{", b"}", b",", b":",
    b"\r\n", b"\n", b"\0", b"\xff", b"\xef\xbb\xbf", b"\xed\xa0\x80", b"--B", b"\r\n--B\r\n",
    b"--B--\r\n", b'; filename=""', b"; filename*=utf-8''", b' name="model"', b"=", b";", b"%",
    b'\r\nContent-Disposition: form-data; name="model"\r\n\r\nsecret\r\n', b"[", b"]", b"//", b"'",
    b'{"model":"secret"}', b"\\u006d", b"NaN", b" ", b"\t", b'"model\\q' + b"x" * 600,
]  # fmt: skip


class Maker:
    """Makes the case of a number: its bytes, and whose key it has."""

    def __init__(self, number: int, restricted: str, full: str) -> None:
        self._random = random.Random(number)
        self.is_restricted = self._chance(0.6)
        self.key = restricted if self.is_restricted else full
        # Nobody who is let in ever asks for `secret`; the other key has its own stranger.
        self._names = ["open", "open", "alias", "secret" if self.is_restricted else "other"]

    def _chance(self, share: float) -> bool:
        return self._random.random() < share

    def _name(self) -> str:
        return self._random.choice(self._names)

    def _pick(self, *ways: Callable[[], bytes]) -> bytes:
        return self._random.choice(ways)()

    def request(self) -> bytes:
        """All of it."""
        pick = self._random.choice
        method = pick(["POST"] * 18 + ["GET", "HEAD"])
        path = pick(POSTS if method == "POST" else GETS)
        kind: str | None
        if method != "POST":
            kind, body = (
                pick([None, "application/json"]),
                b"" if self._chance(0.7) else self._json(),
            )
        elif self._chance(0.5):
            kind, body = "application/json", self._json()
        elif self._chance(0.6):
            kind, body = pick(FORMS), self._multipart()
        else:
            kind, body = pick(KINDS), self._pick(self._json, self._form, self._multipart)
        if self._chance(0.25):
            body = self._mutated(body)
        body = body if self.is_restricted else body.replace(b"secret", b"other")
        query = self._query() if method != "POST" or self._chance(0.15) else ""
        lines = [f"Content-Type: {kind}\r\n"] if kind is not None else []
        lines += [pick(HEADERS) for _ in range(2) if self._chance(0.12)]
        self._random.shuffle(lines)
        if self._chance(0.1):
            lines.append("Transfer-Encoding: chunked\r\n")
            size = self._random.randint(1, 60)
            pieces = [body[at : at + size] for at in range(0, len(body), size)]
            trailer = pick([b"", b"", b"Content-Type: application/json\r\n", b"model: secret\r\n"])
            body = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces)
            body += b"0\r\n" + trailer + b"\r\n"
        elif body or method == "POST":
            lines.append(f"Content-Length: {len(body)}\r\n")
        head = f"{method} {path}{query} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {self.key}\r\n"
        return (head + "".join(lines) + "\r\n").encode() + body

    def _query(self) -> str:
        one, two = self._name(), self._name()
        return self._random.choice([
            f"?model={one}", f"?model={one}", f"?mod%65l={one}", f"?model={one}&model={two}", "?",
            f"?beta=true&model={one}", "?beta=true", f"?x=1;model={one}", f"?model={one};x", "?%",
            f"?Model={one}&model={two}", f"?model={one}%zz", f"?model={one}&%6dodel={two}",
            f"?model[]={one}", f"?model={one}%00", f"?+model={one}", f"?model=&model={one}",
        ])  # fmt: skip

    # -- JSON

    def _json(self) -> bytes:
        members = [self._member() for _ in range(self._random.randint(0, 3))]
        for _ in range(self._random.choice([1, 1, 1, 1, 1, 1, 2, 0])):
            members.insert(self._random.randint(0, len(members)), self._named())
        space = self._random.choice(["", "", " ", "\n"])
        text = "{" + space + (space + "," + space).join(members) + space + "}"
        return text.encode("utf-8", "surrogatepass")

    def _named(self) -> str:
        key = '"model"'
        if self._chance(0.15):
            key = self._random.choice(['"mod\\u0065l"', '"\\u006dodel"', '"Model"', '"model "',
                                       '"model\\u0000"', '"mo\\del"', '"MODEL"', "model", "'model'",
                                       '"model\\q' + "y" * 600 + '"', '"\\"model"'])  # fmt: skip
        name = f'"{self._name()}"'
        if self._chance(0.1):
            other = self._name()
            name = self._random.choice([
                f"[{name}]", "1", "null", "true", f'{{"model":{name}}}', f'"{other}\\u0000"', '""',
                '"' + "".join(f"\\u{ord(letter):04x}" for letter in other) + '"', f'"{other} "',
                f'"{other}\\n"', f'"\\ud800{other}"', name[:-1], f'"{other.upper()}"',
            ])  # fmt: skip
        return f"{key}:{name}"

    def _member(self) -> str:
        return self._random.choice([
            '"messages":[{"role":"user","content":"hi"}]', '"stream":false', '"temperature":0.7',
            '"x":{"model":"secret"}', '"x":"\\"model\\":\\"secret\\""', '"x":[{"model":"secret"}]',
            '"x":"' + "z" * self._random.choice([1, 100, 5000]) + '"', '"x":NaN', '"x":01', '"x":[',
            '"x":"\ud800"', '"x":"\\ud800"', '"é":"ü"', '"x":' + "[" * 40 + "]" * 40, '"":""',
            '"x":"\\', '"x":tru', '"x":{}', '"x":[]', '"x":1e5', '"x":"}"', '"x":"{"', '"n":1',
            '"prompt":"a"', '"input":[1,2]', '"tools":[]', '"a":null', '"b":true', '"stop":["]"]',
        ])  # fmt: skip

    # -- forms

    def _form(self) -> bytes:
        pairs = [self._random.choice(["prompt=a+b", "x=%26", "{", '{"x":"', "a;b", "x"])
                 for _ in range(self._random.randint(0, 2))]  # fmt: skip
        for _ in range(self._random.choice([1, 1, 2])):
            key = self._random.choice(["model", "model", "mod%65l", "Model", "+model", "model[]"])
            value = quote(self._name()) if self._chance(0.9) else "%zz"
            pairs.insert(self._random.randint(0, len(pairs)), f"{key}={value}")
        return "&".join(pairs).encode()

    def _multipart(self) -> bytes:
        end = b"\r\n" if self._chance(0.97) else b"\n"
        parts = [self._other_part() for _ in range(self._random.randint(0, 2))]
        for _ in range(self._random.choice([1, 1, 1, 1, 1, 2, 0])):
            parts.insert(self._random.randint(0, len(parts)), self._model_part())
        body = b"" if self._chance(0.93) else self._random.choice(
            [b"preamble\r\n", b"\r\n", b"--B \r\n", b"--Bx\r\n", b"\n", b"--B--\r\n"])  # fmt: skip
        for head, content in parts:
            fence = (
                b"--B" if self._chance(0.97) else self._random.choice([b"--B ", b"--B\t", b"--Bx"])
            )
            body += b"\r\n".join((fence, head.encode(), b"", content)) + b"\r\n"
        body += self._random.choice([b"--B--\r\n"] * 12 + [b"--B--", b"--B\r\n", b"", b"--B--x"])
        return body.replace(b"\r\n", end)

    def _model_part(self) -> tuple[str, bytes]:
        head = 'Content-Disposition: form-data; name="model"'
        if self._chance(0.4):
            head = self._random.choice([
                "Content-Disposition: form-data; name=model", head + '; filename=""',
                head + "; filename*=utf-8''", head + '; filename="x"', head.lower(), head.title(),
                "Content-Disposition: form-data; name*=utf-8''model", head.replace("; ", ";\r\n "),
                "Content-Type: text/plain; charset=utf-8\r\n" + head,
                head + "\r\nContent-Transfer-Encoding: base64", head + "; name=x", head + ";",
                "Content-Disposition: form-data; name*0=mod; name*1=el", "X: y\r\n" + head,
                head.replace("model", "mod\\el"), head.replace("model", "=?utf-8?q?model?="),
                head.replace("form-data", "attachment"), head.replace("form-data", "Form-Data"),
                head + "\r\n" + head.replace("model", "x"), head.replace(": ", " : "),
                head.replace("; name", "; x; name"), head.replace('"model"', '"model'), head + " ",
                head.replace('"model"', "'model'"), head + "; filename=", head.replace("; ", ";"),
                head + "\r\nContent-Type: application/json", head + '; filename="\\"',
            ])  # fmt: skip
        content = self._name().encode()
        if self._chance(0.05):
            content = self._random.choice([
                content + b"\r\n", b"", b"\xff", content.upper(), b"c2VjcmV0", content + b"\0",
                b" " + content,
            ])  # fmt: skip
        return head, content

    def _other_part(self) -> tuple[str, bytes]:
        return self._random.choice([
            ('Content-Disposition: form-data; name="file"; filename="a.wav"', b"\0\r\n-B" * 9),
            ('Content-Disposition: form-data; name="file"; filename=""', b""),
            ('Content-Disposition: form-data; name="x"', b'"model":"secret"'),
            ('Content-Disposition: form-data; name="x"', b"--B\r\nname=model"),
            ('Content-Disposition: form-data; name="Model"', b"secret"),
            ("Content-Disposition: form-data", b"x"), ("", b"x"),
            ('Content-Disposition: form-data; name="f"; filename="x; name=model"', b"secret"),
            ('Content-Disposition: form-data; name="x"; filename="a\\"; name=\\"model"', b"secret"),
        ])  # fmt: skip

    def _mutated(self, body: bytes) -> bytes:
        for _ in range(self._random.randint(1, 3)):
            at = self._random.randint(0, len(body))
            end = at + self._random.choice([0, 0, 1, 2, 8])
            new = self._random.choice(CRAFT) if self._chance(0.7) else self._random.randbytes(1)
            body = body[:at] + new + body[end:]
        return body


def of_config(ports: dict[str, int]) -> str:
    """llama-swap's config.yaml, which is JSON here: models that cost nothing to load."""
    models = {
        name: {
            "cmd": "sleep 100000",
            "proxy": f"http://127.0.0.1:{port}",
            "checkEndpoint": "none",
            "concurrencyLimit": 10000,
            "aliases": ["alias"] if name == "open" else [],
        }
        for name, port in ports.items()
    }
    groups = {"all": {"swap": False, "exclusive": False, "members": list(ports)}}
    return json.dumps(
        {"models": models, "groups": groups, "logLevel": "error", "captureBuffer": 0,
         "metricsMaxInMemory": 1, "performance": {"disabled": True}}
    )  # fmt: skip
