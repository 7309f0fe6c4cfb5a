"""What is to be done about a secret in git depends on who gave it."""

import subprocess
from pathlib import Path

import pytest

from herd.checks import Project, secrets
from herd.render.rendering import Rendering
from tests.checks.sample import OTHER

HERDS = "sk-" + "herd-" + OTHER[:43]
ANOTHERS = "sk-" + OTHER[:40]
TOKEN = "hf_" + "abcdefghijklmnopqrstuvwxyzABCDEFGH"
PEM = "-----BEGIN " + "EC PRIVATE KEY-----\n" + OTHER[:60] + "\n"


@pytest.mark.parametrize(
    ("text", "mend"),
    [
        (f'KEY = "{HERDS}"\n', "replace it: `make key NAME=... ARGS=--rotate`"),
        (f'HF_TOKEN = "{TOKEN}"\n', "revoke it at https://huggingface.co/settings/tokens"),
        (f'OPENAI_API_KEY = "{ANOTHERS}"\n', "revoke it where it is from"),
        (PEM, "have its certificate revoked"),
    ],
    ids=["a key of a herd", "a token of the Hub", "another's key", "a private key"],
)
def test_a_secret_is_mended_where_it_is_from(tmp_path: Path, text: str, mend: str) -> None:
    (tmp_path / "all.py").write_text(text)
    for words in (["init", "-q"], ["add", "all.py"]):
        subprocess.run(["git", *words], cwd=tmp_path, check=True)

    (found,) = secrets.check(Project(tmp_path, "inventory.py", tmp_path, Rendering([], [])))

    assert mend in found.fix
    assert ("make key" in found.fix) == ("make key" in mend)
