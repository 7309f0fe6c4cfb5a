"""Secrets go to a command's standard input, and show nowhere."""

import io
import logging

import pytest
from pyinfra.api.util import get_kwargs_str
from pyinfra.connectors.util import write_stdin

from herd.core.text.secret import SecretInput, key_options, token_options

KEY = "sk-me-0123456789"


class Buffer(io.BytesIO):
    """A channel that keeps what it got when it is closed."""

    sent = b""

    def close(self) -> None:
        self.sent = self.getvalue()
        super().close()


def sent(stdin: SecretInput) -> str:
    """What pyinfra sends for this `_stdin`."""
    buffer = Buffer()
    write_stdin(stdin, buffer)
    return buffer.sent.decode()


def test_a_key_is_sent_as_an_option_of_curl() -> None:
    assert sent(key_options(KEY)) == f'header = "Authorization: Bearer {KEY}"\n'


def test_a_token_is_sent_as_an_option_of_curl() -> None:
    assert sent(token_options("hf_x")) == 'header = "Authorization: Bearer hf_x"\n'


@pytest.mark.parametrize("empty", [key_options(None), token_options(None), token_options("")])
def test_without_a_secret_there_is_an_empty_line_so_that_input_ends(empty: SecretInput) -> None:
    assert sent(empty) == "\n"


def test_the_same_input_can_be_sent_again() -> None:
    options = key_options(KEY)

    assert sent(options) == sent(options) != ""


def test_a_secret_prints_masked_in_every_form_that_pyinfra_uses(
    caplog: pytest.LogCaptureFixture,
) -> None:
    options = key_options(KEY)
    with caplog.at_level(logging.DEBUG):
        logging.getLogger().debug("%s %r", options, options)
    shown = [caplog.text, f"{options}", f"{options!r}", str({"_stdin": options})]
    shown.append(get_kwargs_str({"_stdin": options}))

    assert not any(KEY in text for text in shown)
    assert all("*MASKED*" in text for text in shown)
