"""The key that a request shows, and what is said where it shows none."""

from pathlib import Path

import pytest
from multidict import CIMultiDict

from proxy.exchange import Reply
from proxy.keys.credential import NoKey, advice, credential
from tests.proxy.support.policy import ANNA, PLAIN, Desk, entry, error


@pytest.mark.parametrize(
    "pairs",
    [
        [("Authorization", "Bearer k")],
        [("authorization", "bearer k")],
        [("AUTHORIZATION", "BEARER  k ")],
        [("x-api-key", "k")],
        [("X-Api-Key", " k")],
        [("api-key", "k")],
        [("Authorization", "Bearer k"), ("Authorization", "bearer k")],
        [("Authorization", "Bearer k"), ("x-api-key", "k")],
        [("Authorization", "Bearer k"), ("x-api-key", "k"), ("api-key", "k")],
        [("Authorization", "Bearer k"), ("api-key", "")],
        [("Authorization", "Bearer "), ("x-api-key", "k")],
        [("x-api-key", "k"), ("x-api-key", "k")],
        [("x-api-key", "k, k")],
        [("Authorization", "Bearer k, Bearer k")],
        [("Authorization", "Bearer k,bearer  k"), ("x-api-key", "k,k,k")],
    ],
)
def test_one_key_is_found_however_often_it_is_named(pairs: list[tuple[str, str]]) -> None:
    """Clients set a second header beside their own, and libraries join two with a comma."""
    assert credential(CIMultiDict(pairs)) == "k"


@pytest.mark.parametrize(
    ("pairs", "words"),
    [
        ([], "No API key came."),
        ([("Cookie", "k"), ("Proxy-Authorization", "Bearer k")], "No API key came."),
        ([("Authorization", "")], "no API key in Authorization."),
        ([("Authorization", "Bearer"), ("x-api-key", " ")], "in Authorization and x-api-key."),
        ([("Authorization", "Bearer ,"), ("api-key", ", ")], "in Authorization and api-key."),
        ([("Authorization", "k")], "without 'Bearer' before the key"),
        ([("Authorization", "Bearerk")], "without 'Bearer'"),
        ([("Authorization", "Token k")], "without 'Bearer'"),
        ([("Authorization", "Basic a2s6aw==")], "as 'Basic'"),
        ([("Authorization", "Bearer k"), ("x-api-key", "l")],
         "Two different API keys came, in Authorization and x-api-key."),
        ([("x-api-key", "k"), ("api-key", "l")], "in x-api-key and api-key."),
        ([("Authorization", "Bearer k, Bearer l")], "keys came, in Authorization."),
        ([("Authorization", "Bearer k"), ("Authorization", "Bearer l")], "came, in Authorization."),
        ([("x-api-key", "k, l")], "Two different API keys came, in x-api-key."),
        ([("Authorization", "Basic k"), ("x-api-key", "k")],
         "An API key and another credential came, in x-api-key and Authorization."),
        ([("Authorization", "Bearer k"), ("Authorization", "Basic k")], "another credential"),
    ],
)  # fmt: skip
def test_what_came_instead_is_said(pairs: list[tuple[str, str]], words: str) -> None:
    """Two programs that pick different ones of two are how checks are got round."""
    found = credential(CIMultiDict(pairs))

    assert isinstance(found, NoKey)
    assert words in found.why


def test_a_key_may_have_commas() -> None:
    """A plain one of a person's own; but no whitespace, which is how a list is told from it."""
    assert credential(CIMultiDict({"x-api-key": "a,b"})) == "a,b"
    assert credential(CIMultiDict({"Authorization": "Bearer a,b"})) == "a,b"


@pytest.mark.parametrize(
    ("secret", "words"),
    [
        ('"{}"', "quotation marks"),
        ("'{}'", "quotation marks"),
        ("\u201c{}\u201d", "quotation marks"),
        ("{}\u2019", "quotation marks"),
        ("Bearer {}", "'Bearer'"),
        ("{} {}", "space"),
        ("$HERD_API_KEY", "variable"),
        ("${{HERD_API_KEY}}", "variable"),
        ("<your key>", "space"),
        ("<key>", "variable"),
        ("undefined", "variable"),
        ("None", "variable"),
    ],
)
def test_what_looks_wrong_with_an_unknown_key_is_said_and_the_key_not(
    tmp_path: Path, secret: str, words: str
) -> None:
    desk = Desk(tmp_path / "config.json")
    shown = secret.format(ANNA, ANNA)
    for headers in ({"Authorization": f"Bearer {shown}"}, {"x_api_key": shown}):
        reply = desk.policy.authenticate(desk.request("POST /v1/messages", **headers))
        assert isinstance(reply, Reply)
        assert reply.status == 401
        assert words in error(reply)["message"]
        assert ANNA not in error(reply)["message"]
        assert error(reply)["type"] == "authentication_error"


def test_a_plainly_wrong_key_is_told_nothing_more() -> None:
    """Whoever guesses learns nothing."""
    assert advice("sk-herd-wrong") == ""
    assert advice(ANNA[:-1]) == ""


def test_no_word_tells_which_of_two_keys_was_right(tmp_path: Path) -> None:
    """Right and wrong, wrong and wrong, right and right: the same words."""
    desk = Desk(tmp_path / "config.json")
    desk.write(PLAIN, entry("anna", ANNA))
    replies = [
        desk.policy.authenticate(
            desk.request("GET /v1/models", Authorization=f"Bearer {one}", x_api_key=other)
        )
        for one, other in ((ANNA, "sk-wrong"), ("sk-wrong", "sk-bad"), (ANNA, PLAIN))
    ]

    assert len({reply.body for reply in replies if isinstance(reply, Reply)}) == 1
    assert all(isinstance(reply, Reply) for reply in replies)
