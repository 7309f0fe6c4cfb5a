"""Flags of the installed llama-server."""

from herd.core.mac.llama_server_flags import Flags
from herd.facts.llama_server import KnownFlags
from tests.core.mac.test_llama_server_flags import TRANSITION


def test_flags_come_from_the_help_of_the_binary() -> None:
    assert KnownFlags().process(TRANSITION.splitlines()) == Flags.parse(TRANSITION)


def test_a_llama_server_that_is_not_installed_is_none() -> None:
    assert KnownFlags.default() is None
    assert KnownFlags().process([]) is None


def test_the_question_quotes_its_path() -> None:
    command = KnownFlags().command("/opt/my brew/bin/llama-server").get_raw_value()

    assert command.count("'/opt/my brew/bin/llama-server'") == 2
