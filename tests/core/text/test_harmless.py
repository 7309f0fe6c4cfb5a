"""What comes from outside moves no cursor and hides nothing, whoever prints it."""

import os
import re
import tempfile
import unicodedata
from pathlib import Path

import pytest

from herd.core.text.harmless import harmless
from tests import preloaded
from tests.core.samples import ROOT

HOSTILE = {
    "\x1b[2J\x1b[H": r"\x1b[2J\x1b[H",
    "\x1b]0;title\x07": r"\x1b]0;title\x07",
    "\x1b]52;c;cm0gLXJm\x1b\\": r"\x1b]52;c;cm0gLXJm\x1b" + "\\",
    "\x9b31m\x85": r"\x9b31m\x85",
    "all is well\rkey=root": r"all is well\rkey=root",
    "a\nforged line": r"a\nforged line",
    "a\r\nb": r"a\r\nb",
    "\u202egnp.exe\u202c": r"\u202egnp.exe\u202c",
    "\u2066\u2069\u200e\u061c": r"\u2066\u2069\u200e\u061c",
    "a\u2028b\u2029c": r"a\u2028b\u2029c",
    "\x08\x08\x7f\x02": r"\x08\x08\x7f\x02",
    "\udc9b\ufeff\u200b": r"\udc9b\ufeff\u200b",
    "\U000e0041\U000f0000": r"\U000e0041\U000f0000",
}
FINE = [
    "", "plain", "Grüße, 世界", "שלום", "a\tb", "👩‍💻", "é", "نمی‌خواهم",
    r"C:\x1b is text",
]  # fmt: skip


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_is_shown_escaped(text: str) -> None:
    assert harmless(f"<{text}>") == f"<{HOSTILE[text]}>"
    harmless(f"<{text}>").encode()


@pytest.mark.parametrize("text", FINE)
def test_what_people_write_stays(text: str) -> None:
    assert harmless(text) == text


def test_no_character_moves_a_cursor() -> None:
    """Of all that there are; no line end but the one that is kept."""
    moving = [
        chr(code)
        for code in range(0x110000)
        if unicodedata.category(chr(code)) in ("Cc", "Cf", "Cs", "Zl", "Zp")
    ]
    assert len(moving) > 2000
    kept = {one for one in moving if harmless(one, keep="\n") == one}
    assert kept <= set("\t\n\u200c\u200d")


def test_lines_of_an_answer_stay() -> None:
    assert harmless("one\ntwo\r\n\x1b[A", keep="\n") == "one\ntwo\\r\n\\x1b[A"


def test_only_colours_of_pyinfra_pass() -> None:
    """Not what hides text, as black on black does, or moves anything."""
    text = "\x1b[32m[mac1] \x1b[0mfine \x1b[8mhidden\x1b[30m\x1b[2J\x1b[1m"

    assert harmless(text, colours=True) == (
        "\x1b[32m[mac1] \x1b[0mfine \\x1b[8mhidden\\x1b[30m\\x1b[2J\x1b[1m"
    )


WAYS = ("say", "follow", "echo", "log", "chat", "error", "lock")


@pytest.fixture(scope="module")
def printed() -> dict[str, tuple[str, str]]:
    """What each way put out, on both streams."""
    script = Path(__file__).with_name("printing.py")
    hostile = "\1".join(HOSTILE).encode("utf-8", "surrogatepass")
    found = {}
    for way in WAYS:
        with tempfile.TemporaryFile() as given:
            given.write(hostile)
            given.seek(0)
            words = [str(script), way]
            done = preloaded.run(words, cwd=ROOT, env=os.environ, timeout=120, stdin=given)
        assert done.returncode == 0, done.stderr
        found[way] = done.stdout, done.stderr
    return found


class TestWhoPrints:
    """Each way into the administrator's terminal, in a process of its own as they import pyinfra's
    command line."""

    @pytest.mark.parametrize("way", WAYS)
    def test_hostile_text(self, printed: dict[str, tuple[str, str]], way: str) -> None:
        """Verbs that say how it went; logs and what else comes as it is made; a deploy's output,
        which quotes logs and command lines, and its log; a model; errors; the Hub."""
        out, err = printed[way]
        lines = out + err
        for text, shown in HOSTILE.items():
            kept = way in ("echo", "log", "chat", "error") and "\n" in text
            assert f"<{shown}>" in lines or kept, text
        plain = re.sub("\x1b\\[(?:0|3[1-7])m", "", lines) if way == "log" else lines
        assert not [
            one for one in plain
            if one != "\n" and unicodedata.category(one) in ("Cc", "Cf", "Cs", "Zl", "Zp")
        ]  # fmt: skip
