"""What the engine bounds: times, sizes and numbers, with why each is what it is; types only."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one client, and all of them, may take."""

    connections: int = 4096
    strangers: int = 1024
    """Of these, on which no good key came so far, those before their TLS included."""
    share: int = 256
    """Of strangers, for an address from which no good key came lately."""
    handshake_seconds: float = 5.0
    """For all of TLS' handshake."""
    stranger_seconds: float = 10.0
    """For a head, a body, an answer of a stranger, and between two of its requests."""
    stranger_head_bytes: int = 16384
    """All of a stranger's head."""
    head_bytes: int = 65536
    """All of a head; a line of it may have 8190 bytes, and it may have 128 of them."""
    head_seconds: float = 10.0
    """From the first byte of a head to its last."""
    idle_seconds: float = 75.0
    """Between requests."""
    body_bytes: int = 256 * 2**20
    body_seconds: float = 60.0
    """Without any progress in a body that is waited for."""
    send_seconds: float = 300.0
    """Without any progress of a client that takes nothing of its answer."""
    model_bytes: int = 32 * 2**20
    """How much of a body may be held back in the search for `model`."""
    decoded_bytes: int = 64 * 2**20
    """Of a body that came in a Content-Encoding."""
    held_of_one: int = 96 * 2**20
    """What is held of all bodies that one name sends."""
    held_of_all: int = 256 * 2**20
    sent_of_one: int = 256 * 2**20
    """What has gone up of all bodies of one name whose requests are under way: llama-swap keeps
    each whole, in half as much again, and so does llama-server."""
    sent_of_all: int = 1024 * 2**20
    local_body_bytes: int = 65536
    files: int = 8
    """On their way at once; each takes a thread, and a disk serves no more of them well."""
    file_rate: int = 65536
    """Bytes a second; a slower one gives up its place when another client waits for one."""
    file_window_seconds: float = 10.0
    """Over which that is measured, at least."""
    connect_seconds: float = 5.0
    clock_seconds: float = 1.0
    """How often the times above are looked at."""
    idle_clock_seconds: float = 60.0
    """The same while nobody is connected: a Mac that nobody asks is left to sleep."""
