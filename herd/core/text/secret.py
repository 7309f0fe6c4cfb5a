"""Text that goes to a command's standard input and is never shown."""

import io


class SecretInput(io.StringIO):
    """Lines for `_stdin`, which pyinfra prints with -v: as *MASKED*. May be read repeatedly."""

    def __init__(self, *lines: str) -> None:
        super().__init__("".join(f"{line}\n" for line in lines))

    def readlines(self, hint: int = -1, /) -> list[str]:  # type: ignore[override]
        """All lines, each time."""
        return self.getvalue().splitlines(keepends=True)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, SecretInput) and self.getvalue() == other.getvalue()

    def __hash__(self) -> int:
        return hash(self.getvalue())

    def __repr__(self) -> str:
        return "*MASKED*"

    __str__ = __repr__


def key_options(key: str | None) -> SecretInput:
    """Options for `curl --config -` that send a key, if there is one."""
    return _bearer(key)


def token_options(token: str | None) -> SecretInput:
    """Options for `curl --config -` that send a Hub's token, if there is one."""
    return _bearer(token)


def _bearer(secret: str | None) -> SecretInput:
    if not secret:
        return SecretInput("")
    escaped = secret.replace("\\", "\\\\").replace('"', '\\"')
    return SecretInput(f'header = "Authorization: Bearer {escaped}"')
