"""Why a request is refused for what it says; raised where it is read. Pure."""


class Refused(Exception):
    """An answer in the making: its status, its code, a message that says what to send, and
    headers of its own."""

    def __init__(self, status: int, code: str, message: str, *headers: tuple[str, str]) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.headers = headers


def bad(message: str) -> Refused:
    """A body that has no meaning, or more than one."""
    return Refused(400, "invalid_body", message)


def no_model(message: str) -> Refused:
    """A request that does not say which model it is for, or not in one way."""
    return Refused(400, "model_required", message)


def large(message: str) -> Refused:
    """Beyond a bound, which the message names."""
    return Refused(413, "body_too_large", message)
