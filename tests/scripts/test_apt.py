"""apt is asked as root, and only where it may be."""

from pathlib import Path

import pytest

from tests.scripts.conftest import Machine, quoted


@pytest.fixture
def told(one_machine: Machine) -> Path:
    """What was run as root."""
    path = one_machine.home / "told"
    one_machine.program("id", "case $1 in -u) echo 1000 ;; *) echo me ;; esac")
    one_machine.program("sudo", f'shift; printf "%s\\n" "$*" >>{quoted(path)}')
    return path


def test_packages_come_without_a_question(one_machine: Machine, told: Path) -> None:
    done = one_machine.run("apt", 300, "install", "haproxy", "curl")

    assert done.returncode == 0, done.stderr
    update, install = told.read_text().splitlines()
    assert update == "apt-get --quiet --quiet update"
    assert install.startswith("env DEBIAN_FRONTEND=noninteractive apt-get ")
    assert install.endswith(" -o DPkg::Lock::Timeout=300 install haproxy curl")


def test_what_is_removed_needs_no_lists(one_machine: Machine, told: Path) -> None:
    assert one_machine.run("apt", 300, "remove", "haproxy").returncode == 0

    (remove,) = told.read_text().splitlines()
    assert remove.endswith(" remove haproxy")


def test_without_sudo_nothing_is_tried_again(one_machine: Machine, told: Path) -> None:
    one_machine.program("sudo", "echo 'sudo: a password is required' >&2; exit 1")

    done = one_machine.run("apt", 300, "install", "haproxy")

    assert done.returncode == 1
    assert "Only root may run `apt-get --quiet --quiet update`" in done.stderr
    assert not told.exists()
