"""What llama.cpp said of memory, as the script tells it."""

import pytest
from pyinfra.api import FactProcessError

from herd.facts.fit_params import FitFlags, FitParams, Fits

MARK = "0123456789abcdef"


def test_a_program_and_notes_are_read() -> None:
    lines = ["program /opt/homebrew/bin/llama", "program fit-params"]
    lines += [f"note {MARK} MTL0 1 2 3", f"note {MARK} Host 0 0 4", f"note {'f' * 16} error no"]

    assert FitParams().process(lines) == Fits(
        ("/opt/homebrew/bin/llama", "fit-params"),
        {MARK: "MTL0 1 2 3\nHost 0 0 4\n", "f" * 16: "error no\n"},
    )
    assert FitParams().process([]) == Fits()


@pytest.mark.parametrize("line", ["note ../x Host 1 2 3", "sh: nonsense"])
def test_another_answer_is_none(line: str) -> None:
    with pytest.raises(FactProcessError, match=r"not what fit-params\.sh says"):
        FitParams().process([line])


def test_its_flags_are_read_as_llama_servers() -> None:
    command = FitFlags().command(["/opt/my brew/bin/llama", "fit-params"])

    assert command.get_raw_value() == "'/opt/my brew/bin/llama' fit-params --help"
    assert FitFlags().process(["-c,    --ctx-size N      size"]).known == {"-c", "--ctx-size"}
