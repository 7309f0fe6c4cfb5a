"""Which Linux machine can be a gateway, and what is said to one that cannot."""

from dataclasses import replace

import pytest

from herd.core.linux.machine import Machine, parse, problems
from herd.core.mac.mac import Folder, Identity

WHO = Identity(
    uid=1000,
    user="me",
    home="/home/me",
    system="Linux",
    arch="x86_64",
    macos=(),
    chip="",
    memory=2**33,
    command_line_tools=False,
    console=True,
    brew=False,
    sudo=True,
    writable=True,
    disk_free=2**33,
)
ALL = frozenset(("haproxy", "venv", "curl"))
READY = Machine("Debian GNU/Linux 13 (trixie)", True, (3, 0), (3, 13), ALL, True)


def test_what_scripts_look_linux_says() -> None:
    said = [
        "system\tUbuntu 24.04.3 LTS",
        "apt\t/usr/bin/apt-get",
        "candidate\t2.8.16-0ubuntu0.24.04.1",
        "python\t3.12",
        "venv\tyes",
        "curl\t/usr/bin/curl",
        "lingers\tno",
    ]
    machine = parse(said)

    assert machine.system == "Ubuntu 24.04.3 LTS"
    assert (machine.haproxy, machine.python, machine.lingers) == ((2, 8), (3, 12), False)
    assert machine.missing == ["haproxy"]
    there = parse([*said, "haproxy\tHAProxy version 3.0.11-1+deb13u1 2026/01/01"])
    assert (there.haproxy, there.missing) == ((3, 0), [])


def wheres(who: Identity = WHO, machine: Machine = READY, *, serves: bool = False) -> list[str]:
    return [each.where for each in problems(who, machine, serves=serves, foreign={})]


def test_one_that_has_all_or_may_get_it_is_taken() -> None:
    assert wheres() == []
    assert wheres(machine=replace(READY, there=frozenset())) == []
    assert wheres(replace(WHO, sudo=False)) == []
    assert wheres(replace(WHO, uid=0, sudo=False), replace(READY, there=frozenset())) == []


@pytest.mark.parametrize(
    ("who", "machine", "expected"),
    [
        (replace(WHO, sudo=False), replace(READY, there=frozenset()), ["packages"]),
        (WHO, replace(READY, there=frozenset(), apt=False), ["packages"]),
        (WHO, replace(READY, haproxy=(2, 6), python=(3, 9)), ["HAProxy", "Python"]),
        (replace(WHO, console=False), READY, ["systemd"]),
        (replace(WHO, writable=False), READY, ["stack_root"]),
        (replace(WHO, folders=(Folder("/srv", "777", 0, 0, "root"),)), READY, ["directory /srv"]),
    ],
)
def test_all_that_keeps_it_from_being_one_is_told(
    who: Identity, machine: Machine, expected: list[str]
) -> None:
    assert wheres(who, machine) == expected


def test_the_command_that_only_root_may_run_is_told_whole() -> None:
    who, machine = replace(WHO, sudo=False), replace(READY, there=frozenset(["curl"]))

    (problem,) = problems(who, machine, serves=False, foreign={})

    assert "`sudo apt-get install --yes haproxy python3-venv` there" in problem.fix


def test_it_serves_no_models() -> None:
    """That is the one thing to say then."""
    assert wheres(replace(WHO, console=False), serves=True) == ["machine"]


def test_who_holds_its_ports_is_told() -> None:
    foreign = {"3100 (gateway_port)": "nginx (pid 7)"}

    (problem,) = problems(WHO, READY, serves=False, foreign=foreign)

    assert (problem.where, problem.what) == (
        "port 3100 (gateway_port)",
        "It is held by nginx (pid 7).",
    )
