"""What is wrong with the settings is said at once for all hosts, before any is connected to."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.fleet import KEY, PROGRAMS, PROJECT, SENTENCE, Fleet, Run, plain


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    """Two Macs that nothing was deployed to."""
    fleet = Fleet(tmp_path_factory.mktemp("lab"), "mac1", "mac2")
    yield fleet
    fleet.stop()


@pytest.fixture
def workstation(fleet: Fleet, tmp_path: Path) -> Path:
    """A directory with the project's files."""
    files = ("deploy.py", "config.py", "pyproject.toml")
    for name in (*files, "group_data", "herd", "proxy", "fetcher", "templates"):
        (tmp_path / name).symlink_to(PROJECT / name)
    return tmp_path


@pytest.fixture
def config(fleet: Fleet) -> Iterator[Path]:
    """Room for a config.json, which is beside the inventory wherever a command is run."""
    path = fleet.lab.inventory.with_name("config.json")
    yield path
    path.unlink()


def run_in(fleet: Fleet, directory: Path, *options: str, **environment: str) -> Run:
    """pyinfra, with another working directory."""
    done = subprocess.run(
        [str(PROGRAMS / "pyinfra"), *options],
        cwd=directory,
        env=fleet.environment | environment,
        capture_output=True,
        text=True,
        timeout=240,
        stdin=subprocess.DEVNULL,
    )
    return Run(done.returncode, done.stdout, done.stderr)


def is_refused(fleet: Fleet, run: Run) -> str:
    """The report of a run that ended before the first connection."""
    text = plain(run.out + run.err)
    assert run.code == 1, text
    assert "Traceback" not in text
    assert "Connecting" not in text
    assert [mac.log for mac in fleet.lab.macs.values()] == [[], []]
    return text


BAD = {
    "mac1": {
        "stack_root": "llama-swap",
        "proxy_prot": 3000,
        "proxy_host": "all",
        "launchd_autostart": "sometimes",
        "models": {
            "recite": {
                "ctx_size": "8192",
                "cache_type_k": "q5",
                "ctx_sise": 1,
                "extra_args": ["--ctx-size", "99"],
            },
            "quantised": {
                "repo": "lab/recite-GGUF",
                "cache_type_v": "q8_0",
                "flash_attention": "off",
            },
        },
    },
    "mac2": {
        "stack_root": "~/Documents/llama-swap",
        "llama_swap_port": 70000,
        "verify_timeout": True,
        "api_keys": [KEY, {"name": "anna", "sha256": KEY}, {"name": "ben", "rmp": 5}],
        "proxy_allow_origins": ["chat.example.com"],
        "proxy_tls_certificate": "server.pem",
        "models": {"recite": {"repo": "no-owner"}, "second": {}},
        "llama_swap_groups": {"g": {"members": ["absent"]}},
    },
}
# Each with the place, the fault, and a word of the mend.
EXPECTED = [
    ("mac1: stack_root, from host mac1 of the inventory", "is not an absolute path"),
    ("mac1: proxy_prot, from host mac1 of the inventory", "did you mean proxy_port?"),
    ("mac1: proxy_host", "'all' is no IP address"),
    ("mac1: launchd_autostart", "'background', 'terminal' or 'off'"),
    ("mac1: models.recite.ctx_size", "should be a valid integer"),
    ("mac1: models.recite.cache_type_k", "'q8_0'"),
    ("mac1: models.recite.ctx_sise", "did you mean ctx_size?"),
    ("mac1: models.recite.extra_args", "holds --ctx-size, which ctx_size sets"),
    ("mac1: models.quantised", "needs flash attention, which is off"),
    ("mac2: stack_root", "lies in Documents"),
    ("mac2: llama_swap_port", "less than or equal to 65535"),
    ("mac2: verify_timeout", "should be a valid integer"),
    ("mac2: api_keys, from host mac2 of the inventory", "Key 1 is in clear text."),
    ("mac2: api_keys", 'Key 2 (anna) has no "sha256" of 64 hex digits.'),
    ("mac2: api_keys", 'Key 3 (ben) has no "sha256" of 64 hex digits.'),
    ("mac2: api_keys", 'Key 3 (ben) has "rmp": "rpm"?'),
    ("mac2: proxy_allow_origins", "'chat.example.com' is no scheme and host"),
    ("mac2: proxy_tls_certificate", "There is no proxy_tls_key for it."),
    ("mac2: models.recite.repo", "does not look like a repo"),
    ("mac2: models.second.repo", "The model has no repo."),
    ("mac2: llama_swap_groups.g", "There is no model 'absent'."),
]


def test_all_bad_settings_of_all_hosts_are_in_one_report(fleet: Fleet) -> None:
    run = fleet.pyinfra("-y", str(fleet.inventory(**BAD)), "deploy.py", API_KEYS="")

    text = is_refused(fleet, run)
    assert f"{len(EXPECTED) + 1} problems in the settings" in text
    blocks = text.split("\n\n")
    for place, words in EXPECTED:
        (block,) = [b for b in blocks if f"  {place}" in b and words in b]
        assert "Fix: " in block
    config = fleet.lab.inventory.with_name("config.json")
    assert f"There is no API key, neither in api_keys nor in {config} nor in API_KEYS." in text
    assert "Fix: run `make key NAME=me`" in text
    assert KEY not in text


def test_a_problem_of_both_hosts_is_said_once(fleet: Fleet) -> None:
    bad = {"proxy_port": 80}
    run = fleet.pyinfra("-y", str(fleet.inventory(mac1=bad, mac2=bad)), "deploy.py")

    text = is_refused(fleet, run)
    assert text.count("greater than or equal to 1024") == 1
    assert "  mac1: proxy_port" in text
    assert "  mac2: proxy_port" in text


def test_a_dry_run_reports_them_too(fleet: Fleet) -> None:
    run = fleet.pyinfra("--dry", str(fleet.inventory(mac2={"proxy_port": 80})), "deploy.py")

    assert "mac2: proxy_port" in is_refused(fleet, run)


ABSENT = {
    "absent": {"repo": "lab/absent-GGUF"},
    "revised": {"repo": "lab/recite-GGUF", "revision": "v9"},
    "empty": {"repo": "lab/recite-GGUF", "include": ["*Q4_K_M*"]},
    "short": {"repo": "lab/recite-GGUF", "include": ["*00001*"]},
}


def test_what_the_hub_does_not_have_cannot_be_locked(fleet: Fleet) -> None:
    """All of it is said at once, and the lock stays as it is."""
    inventory = fleet.inventory(mac1={"models": ABSENT})
    lock = fleet.lab.directory / "models.lock"
    before = lock.read_bytes()

    run = fleet.lock(inventory)

    assert run.code == 1
    assert "4 problems with the models" in run.err
    assert "lab/absent-GGUF is not on http" in run.err
    assert "has no revision 'v9'" in run.err
    there = "lab/recite-GGUF has recite-00001-of-00003.gguf (3 splits)"
    line = 'write "include": ["recite-*-of-00003.gguf"].'
    assert f"include='*Q4_K_M*' matches nothing; {there}; {line}" in run.err
    lacking = "recite-00002-of-00003.gguf, recite-00003-of-00003.gguf"
    assert f"lacks 2 of 3 splits: {lacking}" in run.err
    assert lock.read_bytes() == before


def test_what_is_not_locked_is_a_settings_error(fleet: Fleet) -> None:
    """Together with the bad settings of the other host; nobody asks the Hub."""
    inventory = fleet.inventory(mac1={"models": ABSENT}, mac2={"proxy_port": 80})

    run = fleet.pyinfra("-y", str(inventory), "deploy.py", HF_ENDPOINT="http://127.0.0.1:1")

    text = is_refused(fleet, run)
    assert "5 problems in the settings" in text
    assert "mac1: models.absent, from host mac1 of the inventory" in text
    assert f"Fix: run `make lock MODEL=absent INVENTORY={inventory}`" in text
    assert "mac2: proxy_port" in text


@pytest.mark.soak
def test_no_hub_is_one_clear_report(fleet: Fleet) -> None:
    run = fleet.herd("lock", HF_ENDPOINT="http://127.0.0.1:1")

    assert run.code == 1
    assert run.err.count("http://127.0.0.1:1 does not answer for lab/recite-GGUF") == 1
    assert "  mac1: models.recite" in run.err
    assert "  mac2: models.recite" in run.err


@pytest.mark.soak
def test_bad_keys_are_named_without_showing_them(
    fleet: Fleet, workstation: Path, config: Path
) -> None:
    secret = "sk with spaces and SECRET"
    config.write_text(json.dumps({"apiKeys": [secret]}))

    run = run_in(fleet, workstation, "-y", str(fleet.lab.inventory), "deploy.py")

    text = is_refused(fleet, run)
    assert "config.json: " in text
    assert "SECRET" not in text


def test_ad_hoc_commands_need_neither_settings_nor_keys(fleet: Fleet) -> None:
    inventory = str(fleet.inventory(**BAD))
    for mac in fleet.lab.macs.values():
        mac.clear_log()

    run = fleet.pyinfra("-y", inventory, "exec", "--", "uname -m", API_KEYS="", HF_ENDPOINT="bad")

    assert run.code == 0, run.err
    assert all(any("uname -m" in text for _, text in m.log) for m in fleet.lab.macs.values())
    for mac in fleet.lab.macs.values():
        mac.clear_log()


@pytest.mark.soak
def test_keys_of_config_json_win_and_data_wins_over_the_inventory(
    fleet: Fleet, workstation: Path, config: Path
) -> None:
    """One deploy to one of the two hosts, of an inventory that has a config.json beside it."""
    mine = "sk-mine-EXAMPLE-0123456789abcdef"
    config.write_text(json.dumps({"apiKeys": [mine]}))

    run = run_in(
        fleet,
        workstation,
        *("-y", "--limit", "mac1"),
        *("--data", "stack_root=~/elsewhere", "--data", "launchd_label_prefix=org.example.llm"),
        *("--data", 'models={"recite": {"aliases": ["from-data"], "preload": true}}'),
        str(fleet.lab.inventory),
        "deploy.py",
        API_KEYS=KEY,
    )

    assert run.code == 0, run.err
    mac = fleet["mac1"]
    keys = json.loads((mac.home / "elsewhere/config.json").read_text())
    assert keys == {"apiKeys": [mine], "contexts": {"recite": 512, "from-data": 512}}
    assert fleet.says(model="from-data", key=mine) == SENTENCE
    assert mac.launchd.job("org.example.llm.proxy")
    assert not (mac.home / "llama-swap").exists()
    assert fleet["mac2"].log == []
