"""How a setting names a file of the Hub: `mmproj-F16.gguf` of the model's own repository, or
`hf://OWNER/NAME@REVISION/PATTERN` of any; with a scale, where one may follow, as `file.gguf:0.5`.

`hf://` is the notation of huggingface_hub's own file system: a branch with a slash in its name is
written with `%2F`, and `refs/pr/3` as it is.
"""

import re
from dataclasses import dataclass
from urllib.parse import unquote

SCHEME = "hf://"
SCALED = ("lora", "control_vector")
"""Roles whose files may be scaled."""
FILE = "file"
"""The role of a file that an argument of `extra_args` names."""

_WHOLE = re.compile(
    r"hf://(?P<repo>[A-Za-z0-9][\w.-]*/[\w.-]+)"
    r"(@(?P<revision>refs/(convert|pr)/[^/@]+|[^/@]+))?/(?P<rest>.+)"
)
_SCALE = re.compile(r"(?P<pattern>.+):(?P<scale>-?\d+(\.\d+)?)")


@dataclass(frozen=True)
class Source:
    """A pattern for files of a repository; without `repo`, of the model's own. `scale` is a
    number as it was written, "" without one."""

    pattern: str
    repo: str = ""
    revision: str = ""
    scale: str = ""


def parse(text: str, *, scaled: bool = False) -> Source:
    """Raises ValueError, in words, for what is no such name."""
    repo = revision = scale = ""
    rest = text
    if text.startswith(SCHEME):
        if not (whole := _WHOLE.fullmatch(text)):
            raise ValueError("is not hf://OWNER/NAME/FILE, nor hf://OWNER/NAME@REVISION/FILE")
        repo, revision, rest = whole["repo"], unquote(whole["revision"] or "main"), whole["rest"]
    elif "://" in text or text.startswith(("/", "~")):
        raise ValueError(
            "is no file of the model's repository; one of another is hf://OWNER/NAME/FILE"
        )
    if scaled and (found := _SCALE.fullmatch(rest)):
        rest, scale = found["pattern"], found["scale"]
    if ":" in rest:
        raise ValueError("has a `:`, which no file's name may have")
    return Source(rest, repo, revision, scale)
