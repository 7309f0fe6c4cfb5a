"""What llama-server says of its slots, twice, and whether it got on in between. Pure.

`GET /slots` is answered by the loop that computes, between two batches: a long prompt is seen to
be read there for minutes before its first token.
"""

import json
from typing import Any

Slots = dict[int, tuple[Any, ...]]
"""Of those at work, by their number: the task, and how far it is."""


def read(body: bytes) -> Slots:
    """The slots that are at work; none if the answer is no list of slots."""
    try:
        found = json.loads(body)
        return {slot["id"]: _at(slot) for slot in found if slot["is_processing"]}
    except (ValueError, KeyError, TypeError, AttributeError):
        return {}


def _at(slot: dict[str, Any]) -> tuple[Any, ...]:
    written = slot.get("next_token") or [{}]
    first = written[0] if isinstance(written, list) else written  # an object before build 6000
    read_so_far = slot.get("n_prompt_tokens_processed")
    return slot.get("id_task"), read_so_far, first.get("n_decoded")


def got_on(before: Slots, after: Slots) -> bool:
    """Whether something that was at work is further, or over. What began since proves nothing."""
    return any(after.get(number) != at for number, at in before.items())
