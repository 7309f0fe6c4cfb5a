"""Versions, from where Homebrew's links point (from documentation: its Cellar)."""

from herd.facts.programs import Linked


def test_versions_are_by_formula_not_by_program() -> None:
    assert Linked().process(
        [
            "../Cellar/llama.cpp/0.5.0/bin/llama-server",
            "../Cellar/llama-swap/250/bin/llama-swap",
            "/opt/homebrew/Cellar/python@3.13/3.13.9_1/bin/python3.13",
        ]
    ) == {"llama.cpp": "0.5.0", "llama-swap": "250", "python@3.13": "3.13.9_1"}


def test_what_homebrew_does_not_link_has_no_version() -> None:
    assert Linked().process(["/usr/local/src/llama-server"]) == {}
    assert Linked.default() == {}


def test_the_question_quotes_its_paths() -> None:
    command = Linked().command(["/opt/my brew/bin/llama-swap"]).get_raw_value()

    assert "for link in '/opt/my brew/bin/llama-swap' ;" in command
