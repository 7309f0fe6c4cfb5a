"""The Mac itself is kept as declared, by the printed rule, and whatever its tools say."""

from collections.abc import Iterator
from typing import Any

import pytest

from lab.lab import Mac
from tests.e2e.fleet import SENTENCE, Fleet, is_served, until

DOMAIN = "/Library/Preferences/com.apple.SoftwareUpdate"
SETTINGS: dict[str, Any] = {
    "mac_sleep": "never-lid-shut",
    "mac_restart_after_power_loss": True,
    "mac_wake_on_lan": False,
    "mac_firewall_exception": True,
    "mac_automatic_updates": False,
    "mac_gpu_wired_limit_mb": 57344,
    "mac_networks": ["10.0.0.0/8", "fd00::/8"],
}
POWER, UPDATES = "Mac | Keep when the Mac sleeps", "Mac | Keep what macOS updates"
WAY_IN = "Mac | Keep the proxy's way in"
LIMIT, NETWORKS = "Mac | Keep what the GPU may wire", "Mac | Keep who reaches the proxy"
LABELS = ["com.moonspirit.proxy-networks", "llama-herd.gpu-wired-limit"]
ANCHOR = f"com.apple/250.{LABELS[0]}"
NOTES = "Library/Application Support/llama-herd/mac-before"


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    """A laptop that was set up by the printed rule and nothing more."""
    fleet = Fleet(tmp_path_factory.mktemp("lab"), "mac1", macos="27.0", firewall=1)
    fleet["mac1"].set(battery={"sleep": "1", "displaysleep": "2", "lowpowermode": "0"})
    run = fleet.deploy(mac1=SETTINGS)
    assert run.code == 1
    assert "`make sudoers`" in run.err
    fleet["mac1"].set(sudo=rules(fleet))
    run = fleet.settles(mac1=SETTINGS)
    assert run.changed("mac1") >= {POWER, UPDATES, WAY_IN, LIMIT, NETWORKS}
    yield fleet
    fleet.stop()


def rules(fleet: Fleet) -> list[str]:
    """What `make sudoers` prints, without its comments."""
    said = fleet.herd("sudoers", inventory=fleet.inventory(mac1=SETTINGS))
    assert said.code == 0, said.err
    return [line for line in said.out.splitlines() if not line.startswith("#")]


def rows(mac: Mac) -> dict[str, str]:
    return {key: mac.facts["power"][key] for key in ("sleep", "disksleep", "autorestart", "womp")}


def test_the_mac_is_as_declared(kept: Fleet) -> None:
    mac = kept["mac1"]
    assert rows(mac) == {"sleep": "0", "disksleep": "0", "autorestart": "1", "womp": "0"}
    assert mac.facts["battery"] == {"sleep": "0", "displaysleep": "10", "lowpowermode": "0"}
    assert mac.facts["sleep_disabled"] == 1
    keys = {name.partition(" ")[2]: value for name, value in mac.facts["defaults"].items()}
    assert len(keys) == 4
    assert set(keys.values()) == {"0"}
    ((program, verdict),) = mac.facts["firewall_apps"].items()
    assert verdict == "Allow"
    assert program.startswith(f"{mac.prefix}/Cellar/python@3.13/3.13.9/Frameworks/")


def keeps_its_jobs(mac: Mac) -> bool:
    rules = mac.facts["pf"]["anchors"].get(ANCHOR, [])
    return bool(
        mac.facts["wired_limit_mb"] == 57344
        and mac.facts["pf"]["enabled"]
        and [rule.partition(" from ")[2].split()[0] for rule in rules]
        == ["any", "10.0.0.0/8", "fd00::/8", "any"]
    )


def test_what_a_restart_forgets_is_done_again(kept: Fleet) -> None:
    mac = kept["mac1"]
    assert keeps_its_jobs(mac)
    assert sorted(mac.launchd.labels("system")) == LABELS
    mac.reboot()

    until(lambda: keeps_its_jobs(mac))
    until(lambda: is_served(mac.ports["proxy"]) and is_served(mac.ports["llama_swap"]))
    assert kept.says() == SENTENCE  # a deploy would wait until the model is loaded
    assert kept.deploy(mac1=SETTINGS).changed("mac1") == set()
    assert "main" not in mac.facts["pf"], "nobody loads /etc/pf.conf again"


@pytest.mark.soak
def test_what_somebody_changed_by_hand_comes_back(kept: Fleet) -> None:
    mac = kept["mac1"]
    kept.says()
    servers = mac.run("pgrep -f llama-server").stdout.split()
    assert servers
    mac.set(wired_limit_mb=1000, pf=mac.facts["pf"] | {"enabled": False, "anchors": {}})
    run = kept.deploy(mac1=SETTINGS)

    assert run.changed("mac1") == {LIMIT, NETWORKS}
    assert keeps_its_jobs(mac)
    assert len(mac.facts["pf"]["references"]) == 1, "an old one is given back"
    # A llama-server knows the limit of its start only.
    left = mac.run("pgrep -f llama-server").stdout.split()
    assert not set(servers) & set(left)
    assert kept.says() == SENTENCE


@pytest.mark.soak
def test_what_was_there_is_noted_once(kept: Fleet) -> None:
    mac = kept["mac1"]
    notes = (mac.home / NOTES).read_text().splitlines()

    assert "AC Power: sleep\t1" in notes
    assert "Battery Power: displaysleep\t2" in notes
    assert "updates: SplatEnabled\tabsent" in notes
    assert "AC Power: displaysleep\t10" not in notes
    mac.set(power=mac.facts["power"] | {"sleep": "5"})
    assert kept.deploy(mac1=SETTINGS).changed("mac1") == {POWER}
    assert (mac.home / NOTES).read_text().splitlines() == notes


@pytest.mark.soak
def test_an_upgraded_python_is_let_in_again(kept: Fleet) -> None:
    mac = kept["mac1"]
    mac.set(formulae={"python@3.13": "3.13.10"})
    run = kept.deploy("--data", "homebrew_upgrade=true", mac1=SETTINGS)

    assert run.code == 0, run.err
    assert WAY_IN in run.changed("mac1")
    assert any("/3.13.10/" in path for path in mac.facts["firewall_apps"])


@pytest.mark.parametrize(
    ("tool", "off", "still"),
    [
        pytest.param(
            "pmset",
            {"sleep_disabled": 0},
            "SleepDisabled is 0 still, not 1",
            marks=pytest.mark.soak,
        ),
        pytest.param(
            "sysctl",
            {"wired_limit_mb": 0},
            "iogpu.wired_limit_mb is 0 still, not 57344",
            marks=pytest.mark.soak,
        ),
        pytest.param(
            "pfctl",
            # Somebody else has it on: a token that was given out comes to nobody again.
            {"pf": {"enabled": True, "references": ["14107300000000000099"], "anchors": {}}},
            "has 0 rules, and not the 4",
            marks=pytest.mark.soak,
        ),
        pytest.param(
            "socketfilterfw",
            {"firewall_apps": {}},
            "is absent still, not allow",
            marks=pytest.mark.soak,
        ),
        pytest.param(
            "defaults",
            {"defaults": {f"{DOMAIN} AutomaticDownload": "1"}},
            "updates: AutomaticDownload is true still, not false",
            marks=pytest.mark.soak,
        ),
    ],
)
def test_a_tool_that_says_it_did_and_did_not_is_an_error(
    kept: Fleet, tool: str, off: dict[str, Any], still: str
) -> None:
    mac = kept["mac1"]
    mac.set(lies=[tool], **off)
    run = kept.deploy(mac1=SETTINGS)
    mac.set(lies=[])

    assert run.code == 1
    assert still in run.err
    assert kept.deploy(mac1=SETTINGS).code == 0


@pytest.mark.soak
def test_status_says_what_is_otherwise_and_what_restarts(kept: Fleet) -> None:
    mac = kept["mac1"]
    mac.set(power=mac.facts["power"] | {"womp": "1"})
    said = kept.herd("status", inventory=kept.inventory(mac1=SETTINGS)).out
    mac.set(power=mac.facts["power"] | {"womp": "0"}, defaults={})
    other = kept.herd("status").out

    assert "settings    AC Power: womp is 1, not 0; deploy again" in said
    assert "updates     install by themselves and may restart it" not in said
    assert "updates     install by themselves and may restart it" in other
    assert kept.deploy(mac1=SETTINGS).changed("mac1") == {UPDATES}


def test_what_cannot_be_is_refused_before_anything_is_changed(kept: Fleet) -> None:
    mac = kept["mac1"]
    mac.set(firewall=2, power_lacks=["autorestart"])
    mac.clear_log()
    run = kept.deploy(mac1=SETTINGS | {"mac_gpu_wired_limit_mb": 130000})
    mac.set(firewall=1, power_lacks=[])

    assert run.code == 1
    assert "blocks all incoming connections" in run.err
    assert "no row autorestart" in run.err
    assert "set it to 114688 at most" in run.err
    assert run.changed("mac1") == set()


@pytest.mark.soak
def test_what_is_let_be_again_stays_as_it_is(kept: Fleet) -> None:
    mac = kept["mac1"]
    before = (rows(mac), (mac.home / NOTES).read_text())

    changed = kept.deploy().changed("mac1")
    assert not [name for name in changed if name.startswith("Mac |")]
    assert keeps_its_jobs(mac)
    assert (rows(mac), (mac.home / NOTES).read_text()) == before


def test_uninstall_puts_back_what_was(kept: Fleet) -> None:
    """The last one: nothing of the stack is left."""
    mac = kept["mac1"]
    assert mac.facts["pf"]["enabled"]
    run = kept.herd("uninstall", "--yes", inventory=kept.inventory(mac1=SETTINGS))

    assert run.code == 0, run.err
    assert rows(mac) == {"sleep": "1", "disksleep": "10", "autorestart": "0", "womp": "1"}
    assert mac.facts["battery"] == {"sleep": "1", "displaysleep": "2", "lowpowermode": "0"}
    assert mac.facts["sleep_disabled"] == 0
    assert mac.facts["defaults"] == {}
    assert not any("/3.13." in path for path in mac.facts["firewall_apps"])
    assert mac.facts["wired_limit_mb"] == 0
    assert mac.facts["pf"]["anchors"] == {}
    # It was off, and nobody else holds it on.
    assert (mac.facts["pf"]["references"], mac.facts["pf"]["enabled"]) == ([], False)
    assert mac.launchd.labels("system") == []
    assert list((mac.root / "Library/LaunchDaemons").iterdir()) == []
    assert not (mac.home / NOTES).exists()
