"""What `make uninstall ARGS=--json` makes of pyinfra's own."""

import json

from herd.verbs.roll.runs import became


def told(said: object, *, dry: bool = False) -> dict[str, object]:
    hosts, lost = became(["mac1", "off"], json.dumps(said).encode(), dry=dry)
    return {"hosts": hosts, "unreached": lost}


def test_what_was_done_and_who_was_not_reached() -> None:
    one = {"name": "Files", "success": ["mac1"], "error": [], "no_change": []}
    two = {"name": "Models", "success": [], "error": ["mac1"], "no_change": []}
    results = {"operations": [one, two], "failed_hosts": ["mac1", "off"]}

    assert told({"plan": [], "results": results}) == {
        "hosts": {"mac1": {"outcome": "failed", "changed": ["Files"], "failed": ["Models"]}},
        "unreached": {"off": "cannot connect to off"},
    }
    assert told(None) == {
        "hosts": {},
        "unreached": {name: f"cannot connect to {name}" for name in ("mac1", "off")},
    }


def test_a_dry_run_has_those_on_which_something_would_change() -> None:
    plan = [{"name": "Files", "hosts_with_change": ["mac1"]}]

    assert told({"plan": plan, "results": None}, dry=True) == {
        "hosts": {"mac1": {"outcome": "done", "changed": ["Files"], "failed": []}},
        "unreached": {},
    }
