"""Where the log goes, and that no line of it holds a key, a prompt or an answer."""

import logging
import sys
import time


def set_up() -> None:
    """Sends all logging of this program to stderr."""
    handler = logging.StreamHandler(sys.stderr)
    handler.addFilter(_silence_others)
    formatter = logging.Formatter("%(asctime)s %(levelname)s %(message)s", "%Y-%m-%dT%H:%M:%SZ")
    formatter.converter = time.gmtime
    handler.setFormatter(formatter)
    logging.basicConfig(level=logging.INFO, handlers=[handler])


def _silence_others(record: logging.LogRecord) -> bool:
    """Libraries quote what they could not read, keys and all; only the kind of report is kept."""
    if not record.name.startswith("proxy"):
        kind = record.exc_info[0] if record.exc_info else None
        record.msg = f"{record.name}: {kind.__name__ if kind else 'a report, not shown'}"
        record.args, record.exc_info, record.exc_text = (), None, None
    return True
