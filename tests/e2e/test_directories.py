"""Where others may exchange what a Mac runs and serves, nothing is put."""

from pathlib import Path

import pytest

from tests.e2e.fleet import Fleet


@pytest.mark.parametrize("link", [pytest.param(False, marks=pytest.mark.soak), True])
def test_a_directory_that_others_may_write_is_a_problem_of_that_mac(
    tmp_path: Path, link: bool
) -> None:
    """The stack's own, or one above where its models are, by a link; a sticky one is none."""
    fleet = Fleet(tmp_path / "lab", "mac1", "mac2")
    try:
        for name, mode in (("mac1", 0o777), ("mac2", 0o1777)):
            shared = (
                fleet[name].root / "Volumes/Shared" if link else fleet[name].home / "llama-swap"
            )
            (shared / "all").mkdir(parents=True)
            shared.chmod(mode)
            (fleet[name].home / "llama-swap").mkdir(exist_ok=True)
            if link:
                (fleet[name].home / "llama-swap/models").symlink_to(shared / "all")
        run = fleet.pyinfra("--dry", str(fleet.lab.inventory), "deploy.py")
    finally:
        fleet.stop()

    text = run.out + run.err
    assert "mac1 cannot be set up: 1 problem." in text
    assert "it belongs to tester (mode 777)." in text
    assert "run `chmod go-w " in text
    assert "mac2 cannot be set up" not in text


def test_a_volume_that_cannot_hold_models_is_a_problem_before_anything_is_put_there(
    tmp_path: Path,
) -> None:
    fleet = Fleet(tmp_path / "lab", "mac1")
    try:
        mac = fleet["mac1"]
        mac.set(volumes={"Volumes/Stick": "exfat"})
        disk = mac.root / "Volumes/Stick"
        (disk / "models").mkdir(parents=True)
        (mac.home / "llama-swap").mkdir()
        (mac.home / "llama-swap/models").symlink_to(disk / "models")
        run = fleet.deploy()
        status = fleet.herd("status")
    finally:
        fleet.stop()

    words = f"{disk} has the file system exfat, which keeps no owners"
    assert run.code == status.code == 1
    assert words in run.err
    assert words in status.out
    assert list((disk / "models").iterdir()) == []
