"""Faults put into a project: each ends `make check-configs` with the rule that claims it, at the
line that a person has to mend.

With test_faults_in_files.py, which puts them into rendered files, the proof that the checks check.
"""

import hashlib
import json
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.checks import sample
from tests.checks.sample import HASH, OTHER, Checked, check, edit

ALL, INVENTORY = "group_data/all.py", "inventory.py"
LOCK, FACTS = "models.lock", "facts.lock"
KEY = "sk-" + "herd-" + OTHER[:43]
TOKEN = "hf_" + "abcdefghijklmnopqrstuvwxyzABCDEFGH"
ODD = "the-herd-of-tonight-7-llamas"  # a key of no known form
PEM = "-----BEGIN " + "EC PRIVATE KEY-----\n" + OTHER[:60] + "\n"


@dataclass(frozen=True)
class Fault:
    """`put` is done to a project; `rule` tells it in `file`, at the line that holds `at`."""

    rule: str
    put: Callable[[Path], None]
    file: str
    at: str = ""


def new(name: str, text: str) -> Callable[[Path], None]:
    """A file that was not there, known to git."""

    def apply(root: Path) -> None:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
        subprocess.run(["git", "init", "-q"], cwd=root, check=True)
        subprocess.run(["git", "add", "-f", name], cwd=root, check=True)

    return apply


def both(*faults: Callable[[Path], None]) -> Callable[[Path], None]:
    def apply(root: Path) -> None:
        for fault in faults:
            fault(root)

    return apply


def without_a_split(root: Path) -> None:
    held = json.loads((root / LOCK).read_text())
    del held["models"][0]["files"][1]
    (root / LOCK).write_text(json.dumps(held, indent=2))


def too_small(root: Path) -> None:
    facts = json.loads((root / FACTS).read_text())
    facts["hosts"]["mac2"]["memory"] = 8 << 30
    (root / FACTS).write_text(json.dumps(facts, indent=2))


def setting(old: str, text: str) -> Callable[[Path], None]:
    return edit(ALL, old, text)


def own_keys(*entries: dict[str, str]) -> Callable[[Path], None]:
    """None in group_data, these in config.json."""

    def apply(root: Path) -> None:
        setting(KEYS, "")(root)
        (root / "config.json").write_text(json.dumps({"apiKeys": entries}, indent=2))

    return apply


KEYS = f'{{"name": "anna", "sha256": "{HASH}"}},'
PLACEHOLDER = hashlib.sha256(b"changeme").hexdigest()
T_CONFIG, T_START, T_PLIST = (
    f"templates/{name}.j2" for name in ("config.yaml", "start.command", "plist")
)

FAULTS = {
    # settings
    "a port as text": Fault(
        "settings", setting("proxy_port = 3000", 'proxy_port = "3000"'), ALL, "proxy_port"
    ),
    "a setting of no name": Fault(
        "settings", setting("models_prune =", "models_purne = 1\nmodels_prune ="), ALL, "purne"
    ),
    "a setting that is gone": Fault("settings", setting("models_prune = False", ""), ALL, ""),
    "a host's wrong value": Fault(
        "settings", edit(INVENTORY, "3100", "31"), INVENTORY, '"proxy_port": 31'
    ),
    "a model's wrong value": Fault(
        "settings", edit(INVENTORY, '"ctx_size": 4096', '"ctx_size": "4k"'), INVENTORY, "4k"
    ),
    "a wrong default of models": Fault(
        "settings", setting('"ctx_size": 8192', '"ctx_size": -1'), ALL, '"ctx_size": -1'
    ),
    "a cache of no type": Fault(
        "settings", setting('"preload": True', '"cache_type_k": "q5"'), ALL, '"big": {"repo"'
    ),
    "an alias of two models": Fault(
        "settings", setting('"preload": True', '"aliases": ["little"]'), ALL, '"big": {"repo"'
    ),
    "a stranger in a group": Fault(
        "settings", setting('["big", "tiny"]', '["big", "tony"]'), ALL, "llama_swap_groups"
    ),
    "a protected folder": Fault(
        "settings", setting('"~/llama-swap"', '"~/Documents/llm"'), ALL, "stack_root"
    ),
    "half a certificate": Fault(
        "settings", setting("_certificate = None", '_certificate = "a.pem"'), ALL, "_certificate"
    ),
    "an origin that is none": Fault(
        "settings", setting("_origins = []", '_origins = ["chat"]'), ALL, "proxy_allow_origins"
    ),
    "two stacks in one place": Fault(
        "settings",
        both(
            edit(INVENTORY, '"anna"', '"anna", "ssh_hostname": "a"'),
            edit(INVENTORY, '"ben"', '"ben", "ssh_hostname": "a"'),
        ),
        INVENTORY,
        "mac1",
    ),
    "one port for two": Fault(
        "ports", setting("llama_swap_port = 8080", "llama_swap_port = 3000"), ALL, "proxy_port ="
    ),
    "an inventory that does not end": Fault(
        "settings", edit(INVENTORY, '("mac1", {"ssh_user": "anna"}),', '("mac1", {'), INVENTORY
    ),
    "an inventory with a slip": Fault(
        "settings", edit(INVENTORY, '"proxy_port": 3100', '"proxy_port": PORT'), INVENTORY, "PORT"
    ),
    "settings that are no Python": Fault(
        "settings", setting("models_prune = False", "models_prune = = 1"), ALL, "= ="
    ),
    # groups
    "settings of no group": Fault(
        "groups", new("group_data/mac.py", "proxy_prt = 1\n"), "group_data/mac.py", "proxy_prt"
    ),
    # API keys
    "the hash of a placeholder": Fault(
        "api-keys", setting(HASH, PLACEHOLDER), ALL, '"name": "anna"'
    ),
    "half a hash": Fault("api-keys", setting(HASH, HASH[:32]), ALL, '"name": "anna"'),
    "a key twice": Fault(
        "api-keys", setting(KEYS, KEYS + KEYS.replace("anna", "bob")), ALL, "anna"
    ),
    "two keys of a name": Fault(
        "api-keys", setting(KEYS, f"{KEYS}\n    {KEYS.replace(HASH, OTHER)}"), ALL, OTHER
    ),
    "a key that has expired": Fault(
        "api-keys", setting(HASH + '"', f'{HASH}", "expires": "2020-01-01"'), ALL, "2020-01-01"
    ),
    "a limit of no name": Fault(
        "api-keys", setting(HASH + '"', f'{HASH}", "rmp": 3'), ALL, '"rmp"'
    ),
    "a key in clear text": Fault("api-keys", setting(KEYS, f'{KEYS}\n    "{ODD}",'), ALL, ODD),
    "a key of the workstation that is none": Fault(
        "api-keys", own_keys({"name": "anna", "sha256": OTHER[:43]}), "config.json"
    ),
    "a key of the workstation that has expired": Fault(
        "api-keys",
        own_keys(
            {"name": "ben", "sha256": OTHER},
            {"name": "anna", "sha256": HASH, "expires": "2020-01-01"},
        ),
        "config.json",
        '"anna"',
    ),
    # models
    "a model that is not locked": Fault(
        "models-lock", edit(LOCK, '"name": "tiny"', '"name": "teeny"'), ALL, '"tiny"'
    ),
    "other terms": Fault(
        "models-lock", setting("me/tiny-GGUF", "you/tiny-GGUF"), ALL, "you/tiny-GGUF"
    ),
    "no lock": Fault("models-lock", lambda root: (root / LOCK).unlink(), ALL, "big"),
    "a merge conflict": Fault(
        "models-lock", edit(LOCK, '  "models"', '<<<<<<< ours\n  "models"'), LOCK, "{"
    ),
    "a missing split": Fault("models-lock", without_a_split, LOCK, '"name": "big"'),
    "another first file": Fault(
        "models-lock", edit(LOCK, '"first": "big-00001', '"first": "big-00002'), LOCK, '"big"'
    ),
    "too much memory": Fault("fit", too_small, ALL, '"big": {"repo"'),
    "a flag of no name": Fault(
        "llama-server-flags", setting("--metrics", "--metricks"), ALL, "--metricks"
    ),
    "an argument that --help calls removed": Fault(
        "llama-server-flags", setting('"--metrics"', '"--draft-max", "8"'), ALL, "--draft-max"
    ),
    "an argument without its value": Fault(
        "llama-server-flags", setting('"--metrics"', '"--metrics", "--gpu-layers"'), ALL, "--gpu-l"
    ),
    "a flag and its value in one string": Fault(
        "settings", setting('"--metrics"', '"--gpu-layers 99"'), ALL, '"big": {"repo"'
    ),
    "a key in a command line": Fault(
        "settings", setting('"--metrics"', '"--api-key-file", "/k"'), ALL, '"big": {"repo"'
    ),
    # facts.lock
    "facts of another Homebrew": Fault(
        "facts", setting('prefix = "/opt/homebrew"', 'prefix = "/opt/brew"'), FACTS, "{"
    ),
    "facts that are none": Fault("facts", edit(FACTS, '"uid": 501', '"uid": me'), FACTS, "me"),
    "facts of no sense": Fault("facts", edit(FACTS, "/Users/ben", "Users/ben"), FACTS, "{"),
    # templates
    "a template that does not end": Fault(
        "template-syntax", edit(T_CONFIG, "{% endif %}\n", ""), T_CONFIG, ""
    ),
    "an undefined variable": Fault(
        "template-variables",
        edit(T_CONFIG, "preload: {{ preload", "preload: {{ preloads"),
        T_CONFIG,
        "preloads",
    ),
    "an undefined variable in a branch that no host takes": Fault(
        "template-variables",
        edit(T_START, "swap='' ", "{% if false %}{{ nobody }}{% endif %}\nswap='' "),
        T_START,
        "nobody",
    ),
    "an attribute of no name": Fault(
        "template-variables", edit(T_CONFIG, "{{ model.ttl }}", "{{ model.tll }}"), T_CONFIG, "tll"
    ),
    "a template that nobody renders": Fault(
        "template-variables", new("templates/old.j2", "x"), "templates/old.j2", "x"
    ),
    "a value that is not quoted": Fault(
        "config-syntax",
        edit(T_CONFIG, "{{ model.aliases | yaml }}", "[{{ model.aliases[0] }}"),
        T_CONFIG,
        "groups:",
    ),
    "a model for everybody": Fault(
        "llama-server-line", edit(T_CONFIG, "--host 127.0.0.1", "--host ::"), T_CONFIG, "cmd: |"
    ),
    "a list that is no property list": Fault(
        "template-output", edit(T_PLIST, "</plist>", "</plits>"), T_PLIST, ""
    ),
    "a foreground start that sh does not read": Fault(
        "script-syntax", edit(T_START, "exit 1", "exit (1"), T_START, "exit (1"
    ),
    # code
    "a job with a key of no name": Fault(
        "plist-keys", edit("herd/core/mac/job_definitions.py", '"Umask"', '"UMask"'), T_PLIST, ""
    ),
    "logs that anybody may read": Fault(
        "secret-modes", edit("herd/core/mac/job_definitions.py", "0o077", "0o022"), T_PLIST, ""
    ),
    "a proxy that asks the wrong port": Fault(
        "ports-chain",
        edit(
            "herd/core/mac/job_definitions.py",
            "127.0.0.1:{settings.llama",
            "127.0.0.1:1{settings.llama",
        ),
        T_PLIST,
        "",
    ),
    "keys that anybody may read": Fault(
        "secret-modes",
        edit("herd/core/files/written_files.py", 'layout.keys, "600"', 'layout.keys, "640"'),
        "build/rendered/mac1/Users/anna/llama-swap/config.json",
        "{",
    ),
    "a script that sh does not read": Fault(
        "script-syntax",
        edit("herd/scripts/look/state.sh", "done", "don"),
        "herd/scripts/look/state.sh",
        "",
    ),
    # git
    "a key in git": Fault("secret-in-git", new("notes.md", f"# Us\n{KEY}\n"), "notes.md", KEY),
    "a key of no known form in git": Fault(
        "secret-in-git",
        both(
            setting(HASH, hashlib.sha256(ODD.encode()).hexdigest()),
            new("docs/us.md", f"Hello\n\nThe key is {ODD}.\n"),
        ),
        "docs/us.md",
        "The key",
    ),
    "a token in git": Fault(
        "secret-in-git", new(".env", f"A=1\nHF_TOKEN={TOKEN}\n"), ".env", "HF_TOKEN"
    ),
    "keys for a workflow in git": Fault(
        "secret-in-git", new("ci.yml", f"env:\n  API_KEYS: {ODD}\n"), "ci.yml", "API_KEYS"
    ),
    "a private key in git": Fault("secret-in-git", new("k.pem", PEM), "k.pem", "-----BEGIN"),
    "config.json in git": Fault("secret-in-git", new("config.json", "{}"), "config.json", "{}"),
}


@pytest.fixture(scope="module")
def origin(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("project")
    sample.make(root)
    check(root)  # so that copies have its code compiled
    return root


@pytest.fixture
def project(origin: Path, tmp_path: Path) -> Path:
    """A copy of the project."""
    return sample.copy(origin, tmp_path / "project")


def test_there_are_many_faults_and_no_two_the_same() -> None:
    assert len({(fault.rule, name) for name, fault in FAULTS.items()}) >= 40


def test_the_project_itself_has_no_fault(project: Path) -> None:
    found = check(project)

    assert (found.code, found.results) == (0, []), found.said


def assert_told(found: Checked, project: Path, fault: Fault) -> None:
    text = (project / fault.file).read_text().splitlines()
    lines = [line for rule, file, line in found.wrong if (rule, file) == (fault.rule, fault.file)]
    assert lines, found.said
    assert all(1 <= line <= len(text) for line in lines), lines
    assert any(fault.at in text[line - 1] for line in lines), [text[line - 1] for line in lines]
    for secret in (KEY, TOKEN, ODD, OTHER[:43]):
        assert secret not in found.said or fault.rule not in ("secret-in-git", "api-keys")


# Faults that hide none of the others: one check finds them all.
TOGETHER = (
    *("the hash of a placeholder", "a flag of no name", "too much memory"),
    *("an undefined variable in a branch that no host takes", "a template that nobody renders"),
    *("a model for everybody", "a foreground start that sh does not read"),
    *("a job with a key of no name", "logs that anybody may read"),
    *("a proxy that asks the wrong port", "settings of no group"),
    *("a script that sh does not read", "a key in git", "a token in git", "a private key in git"),
    *("keys for a workflow in git", "config.json in git"),
)
# Of what ends a check early, or hides others: one of each rule in each file.
TOLD = {(FAULTS[name].rule, FAULTS[name].file) for name in TOGETHER}
ALONE = {
    (fault.rule, fault.file): name
    for name, fault in reversed(FAULTS.items())
    if (fault.rule, fault.file) not in TOLD
}.values()


def test_all_faults_are_told_at_once(project: Path) -> None:
    for name in TOGETHER:
        FAULTS[name].put(project)

    found = check(project)

    assert found.code == 1, found.said
    assert "Traceback" not in found.said
    for name in TOGETHER:
        assert_told(found, project, FAULTS[name])


@pytest.mark.parametrize(
    "name", [n if n in ALONE else pytest.param(n, marks=pytest.mark.soak) for n in FAULTS]
)
def test_a_fault_ends_the_check_with_its_rule_at_its_line(project: Path, name: str) -> None:
    fault = FAULTS[name]
    fault.put(project)

    found = check(project)

    assert found.code == 1, found.said
    assert "Traceback" not in found.said
    assert_told(found, project, fault)
