"""What a request is for: which form its body has, and what of its query names a model. Pure.

What is let in here is understood by llama-swap, which has rules of its own: by the text of
Content-Type it takes the first `model` of something like JSON, of a form's fields, or of the query.
So only what has one meaning gets further: a POST with one `model` in a JSON object or in a
multipart form, a GET or HEAD with one in the query. It goes up rewritten so far that llama-swap
can only come to the same.
"""

import re
import secrets
from dataclasses import dataclass
from urllib.parse import unquote_to_bytes

from multidict import MultiMapping

from proxy.body import json_object, multipart
from proxy.body.body_reader import BodyReader, checked
from proxy.http.content_coding import decoder_of
from proxy.http.media_type import is_utf8, parse
from proxy.http.refusal import Refused, bad, no_model
from proxy.limits import Limits

JSON = b"application/json"
FORM = b"multipart/form-data; boundary="
_A_FORM = "multipart/form-data"
SEND = "Send JSON with 'Content-Type: application/json', or a form with 'multipart/form-data'."


@dataclass(slots=True, eq=False)
class Form:
    """How a body is read."""

    walker: BodyReader
    content_type: bytes
    """As it goes up."""
    doubt: str = ""
    """What the client said it is, if it said something else than what it is read as."""

    def refusal(self, refused: Refused) -> Refused:
        """The true reason: what is not declared as JSON need not have been meant as it."""
        if not self.doubt or refused.code != "invalid_body":
            return refused
        message = f"{self.doubt}, and the body is not plainly JSON. {SEND} ({refused.message})"
        return Refused(415, "unsupported_media_type", message, ("Accept", "application/json"))


def at_first_sight(
    method: str, query: str, headers: MultiMapping[str], data: bytes
) -> tuple[str, bytes] | None:
    """Most requests are small JSON: one look at all of it, and no walk. The model, and the body as
    it goes up."""
    if method != "POST" or query or headers.getall("Content-Type", ()) != ["application/json"]:
        return None
    return json_object.at_first_sight(data) if "Content-Encoding" not in headers else None


def _kind_of(content_type: str) -> tuple[str, dict[str, str]]:
    try:
        return parse(content_type)
    except ValueError:
        return "", {}


def is_form(content_type: str) -> bool:
    """Whether a body is read as a form; every other one is read as JSON."""
    return _kind_of(content_type)[0] == _A_FORM


def form_of(headers: MultiMapping[str], limits: Limits) -> Form:
    """How to read the body of a POST that must name a model."""
    kinds = headers.getall("Content-Type", [])
    if len(kinds) > 1:
        raise bad("The request has more than one Content-Type.")
    decoder = decoder_of(headers.getall("Content-Encoding", []), limits.decoded_bytes)
    kind, parameters = _kind_of(kinds[0] if kinds else "")
    if kind == _A_FORM:
        fence = b"herd-" + secrets.token_hex(16).encode()
        walk = multipart.walk_of(multipart.boundary_of(parameters), fence)
        walker = BodyReader(walk, text=False, limit=limits.model_bytes, decoder=decoder)
        return Form(walker, FORM + fence)
    if not is_utf8(parameters.get("charset", "utf-8")):
        charset = f"{parameters['charset'][:64]!a}"
        message = f"The Content-Type has the charset {charset}, but JSON is UTF-8. {SEND}"
        raise Refused(415, "unsupported_media_type", message, ("Accept", "application/json"))
    doubt = "" if kind == "application/json" else "The request has no Content-Type"
    if doubt and kinds:
        doubt = f"The Content-Type is {kinds[0][:64]!a}"
    walker = BodyReader(json_object.walk, text=True, limit=limits.model_bytes, decoder=decoder)
    return Form(walker, JSON, doubt)


_BROKEN = re.compile("%(?![0-9A-Fa-f]{2})|;")


def check_query(query: str) -> list[str]:
    """Each `model` in a query that all programs split and decode alike."""
    if _BROKEN.search(query):
        raise bad("The query has a ';' or a '%' that is no escape. Write them as %3B and %25.")
    found = []
    for pair in query.split("&"):
        name, _, value = pair.partition("=")
        if unquote_to_bytes(name.replace("+", " ")) == b"model":
            found.append(value)
    return found


def without_query(query: str) -> None:
    """Refuses a model in the query of a request whose body names one."""
    if query and check_query(query):
        raise bad("'model' is in the query. Send it in the body, and only there.")


def in_query(query: str, headers: MultiMapping[str]) -> str:
    """The model of a GET or HEAD, whose query names it."""
    found = check_query(query)
    if len(found) > 1:
        raise bad("The query names 'model' twice.")
    if not found or not found[0]:
        message = "The request names no model. Say which: ?model=NAME, with one of /v1/models."
        raise Refused(404, "model_required", message)
    if headers.get("Content-Length", "0").strip("0") or "Transfer-Encoding" in headers:
        raise bad("A GET has no body here. Send what it is for in the query.")
    try:
        return checked(unquote_to_bytes(found[0].replace("+", " ")).decode())
    except UnicodeDecodeError:
        raise no_model("'model' in the query is not UTF-8.") from None
