"""Stacks that share a machine are kept apart, and agree on what is the machine's."""

from typing import Any

import pytest

from tests.core.samples import declare, problems

APART: dict[str, Any] = {
    "stack_root": "~/second",
    "launchd_label_prefix": "com.example.second",
    "proxy_port": 3001,
    "llama_swap_port": 8081,
    "llama_server_start_port": 11001,
}


def two(**second: Any) -> list[str]:
    """The problems of two stacks on one machine, of which the second says this."""
    machine = ("10.0.0.1", 22)
    found = problems(
        declare("one", machine=machine), declare("two", machine=machine, **{**APART, **second})
    )
    return [f"{p.where} | {p.what}" for p in found]


def test_two_stacks_on_one_machine_may_be_apart() -> None:
    assert two() == []


@pytest.mark.parametrize(
    ("second", "where", "what"),
    [
        ({"stack_root": "~/llama-swap"}, "stack_root", "both say '~/llama-swap'"),
        ({"stack_root": "~/llama-swap/two"}, "stack_root", "lies in '~/llama-swap'"),
        ({"launchd_label_prefix": "com.moonspirit"}, "launchd_label_prefix", "both say"),
        ({"proxy_port": 3000}, "proxy_port and proxy_port", "both want port 3000"),
        ({"proxy_port": 8080}, "llama_swap_port and proxy_port", "both want port 8080"),
        (
            {"llama_server_start_port": 10001},
            "llama_server_start_port and llama_server_start_port",
            "both want port 10001",
        ),
        (
            {"llama_server_start_port": 2999, "models": {"b": {"repo": "x/b"}}},
            "proxy_port and llama_server_start_port",
            "both want port 3000",
        ),
    ],
)
def test_two_stacks_on_one_machine_get_in_each_others_way(
    second: dict[str, Any], where: str, what: str
) -> None:
    (found,) = two(**second)

    assert found.startswith(f"one, two: {where} | ")
    assert what in found


def test_a_stack_beside_one_of_a_similar_name_is_apart() -> None:
    assert two(stack_root="~/llama-swap-two") == []


def test_all_clashes_of_two_stacks_are_reported_together() -> None:
    machine = ("10.0.0.1", 22)
    found = problems(declare("one", machine=machine), declare("two", machine=machine))

    assert len(found) == 5


@pytest.mark.parametrize(
    ("first", "second", "clash"),
    [
        (57344, 49152, True),
        (57344, 57344, False),
        (57344, None, False),
    ],
)
def test_a_machine_has_one_setting_of_its_own(first: int, second: int | None, clash: bool) -> None:
    machine = ("10.0.0.1", 22)
    found = problems(
        declare("one", machine=machine, mac_gpu_wired_limit_mb=first),
        declare("two", machine=machine, mac_gpu_wired_limit_mb=second, **APART),
    )

    assert [p.what for p in found] == (
        ["Both are the same machine, and want 57344 and 49152."] if clash else []
    )


def test_a_clash_is_seen_although_one_stack_has_a_problem_of_its_own() -> None:
    found = two(proxy_port=3000, proxy_prt=1)

    assert len(found) == 2


def test_the_same_address_on_another_ssh_port_is_another_machine() -> None:
    found = problems(
        declare("one", machine=("10.0.0.1", 22)), declare("two", machine=("10.0.0.1", 2222))
    )

    assert found == []
