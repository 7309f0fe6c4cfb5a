"""The text side of a model's command and of the log: comments, splitting, durations, errors."""

from __future__ import annotations

BLANK = " \t\n"
# What a backslash inside double quotes may stand before, and then disappears.
ESCAPED = '$`"\\\n'


def without_comments(command: str) -> str:
    """Drop the lines that are comments; a # later in a line is ordinary text."""
    return "\n".join(line for line in command.split("\n") if not line.strip().startswith("#"))


def split(command: str) -> list[str]:
    """The arguments of `cmd`: quotes and backslashes as in a POSIX shell, and nothing else of it.

    Unlike Python's shlex it takes an unclosed quote for closed at the end.
    """
    text = "\n".join(
        line.strip().removesuffix("\\") + " " if line.strip().endswith("\\") else line
        for line in without_comments(command).split("\n")
    )
    arguments: list[str] = []
    word: str | None = None
    quote = ""
    rest = iter(text)
    for char in rest:
        if quote == "'" and char != "'":
            word = (word or "") + char
        elif char == "\\":
            following = next(rest, "")
            keep = "\\" if quote == '"' and following not in ESCAPED else ""
            word = (word or "") + keep + following
        elif char in ("'", '"') and quote in ("", char):
            quote = "" if quote else char
            word = word or ""
        elif not quote and char in BLANK:
            if word is not None:
                arguments.append(word)
            word = None
        else:
            word = (word or "") + char
    return arguments if word is None else [*arguments, word]


def duration(seconds: int) -> str:
    """Whole seconds as Go prints a time.Duration."""
    hours, minutes, rest = seconds // 3600, seconds // 60 % 60, seconds % 60
    if hours:
        return f"{hours}h{minutes}m{rest}s"
    return f"{minutes}m{rest}s" if minutes else f"{rest}s"


def quoted(value: str) -> str:
    """A value as Go's slog prints it: in quotes only if it needs them."""
    plain = value and not any(char in ' "=\n\t' or not char.isprintable() for char in value)
    if plain:
        return value
    escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return '"' + escaped.replace("\t", "\\t") + '"'
