"""`make render`: what a deploy would write, from files alone."""

import json
import subprocess
from pathlib import Path

import pytest

from tests.checks import sample
from tests.checks.sample import HASH, edit, herd


@pytest.fixture
def project(tmp_path: Path) -> Path:
    sample.make(tmp_path)
    return tmp_path


def tree(root: Path) -> dict[str, bytes]:
    """Every rendered file."""
    out = root / "build/rendered"
    return {str(p.relative_to(out)): p.read_bytes() for p in out.rglob("*") if p.is_file()}


def test_the_same_project_gives_the_same_bytes_wherever_it_lies(
    project: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    other = tmp_path_factory.mktemp("elsewhere")
    sample.make(other)
    for root, zone in ((project, "UTC"), (other, "Asia/Tokyo")):
        done = herd(root, "render", TZ=zone, PYTHONHASHSEED="1" if root == other else "2")
        assert done.returncode == 0, done.stderr

    assert tree(project) == tree(other)
    assert len(tree(project)) > 100


def test_each_host_has_its_own_directory_under_the_paths_of_its_mac(project: Path) -> None:
    herd(project, "render")

    found = tree(project)
    for host, user in (("mac1", "anna"), ("mac2", "ben")):
        assert f"{host}/Users/{user}/llama-swap/config.yaml" in found
        assert f"{host}/Users/{user}/Library/LaunchAgents/com.moonspirit.proxy.plist" in found
    assert b"--ctx-size 4096" in found["mac2/Users/ben/llama-swap/config.yaml"]
    assert b"600 " in found["mac1/MANIFEST"]
    assert b"big-00003-of-00003.gguf" in found["mac1/MANIFEST"]


def test_what_is_no_longer_declared_is_gone_from_the_next_rendering(project: Path) -> None:
    herd(project, "render")
    (project / "inventory.py").write_text('macs = [("mac1", {"ssh_user": "anna"})]\n')
    herd(project, "render")

    assert {name.partition("/")[0] for name in tree(project)} == {"mac1", ".gitignore"}


def test_a_directory_of_somebody_else_is_left_alone(project: Path) -> None:
    out = project / "build/rendered"
    out.mkdir(parents=True)
    (out / "thesis.txt").write_text("mine")

    done = herd(project, "render")

    assert done.returncode == 1
    assert "holds something else than a rendering" in done.stderr
    assert [path.name for path in out.iterdir()] == ["thesis.txt"]


def test_secrets_of_the_workstation_are_not_rendered(project: Path) -> None:
    """Hashes that git has are; keys of config.json and API_KEYS, and certificates, are not."""
    own = "owned-by-nobody-5up3rk3y-of-a-test"
    edit("group_data/all.py", "proxy_tls_certificate = None", 'proxy_tls_certificate = "c.pem"')(
        project
    )
    edit("group_data/all.py", "proxy_tls_key = None", 'proxy_tls_key = "k.pem"')(project)
    (project / "k.pem").write_text(own)
    (project / "c.pem").write_text(own)
    (project / "config.json").write_text(json.dumps({"apiKeys": [own]}))
    edit("inventory.py", '"proxy_port": 3100,', '"proxy_port": 3100, "api_keys": [],')(project)
    done = herd(project, "render", API_KEYS=own, HERD_API_KEY=own)

    assert done.returncode == 0, done.stderr
    found = tree(project)
    assert HASH.encode() in found["mac1/Users/anna/llama-swap/config.json"]
    assert found["mac2/Users/ben/llama-swap/config.json"].startswith(b"(secret: ")
    for name in ("tls-key.pem", "tls-certificate.pem"):
        assert found[f"mac1/Users/anna/llama-swap/proxy/{name}"].startswith(b"(secret: ")
    assert not [name for name, content in found.items() if own.encode() in content]
    assert own not in done.stdout + done.stderr


def test_a_mac_that_nobody_asked_is_marked(project: Path) -> None:
    (project / "facts.lock").unlink()
    done = herd(project, "render")

    found = tree(project)
    assert done.returncode == 0
    assert "by defaults, as nobody asked them (make facts): mac1, mac2" in done.stdout
    assert b"facts DEFAULTS of the toolkit" in found["mac1/MANIFEST"]
    assert "mac1/Users/anna/llama-swap/config.yaml" in found  # of ssh_user


def test_declared_defaults_stand_for_macs_that_nobody_asked(project: Path) -> None:
    text = json.dumps({"version": 1, "defaults": {"home": "/Users/llm", "memory": 1 << 34}})
    (project / "facts.lock").write_text(text)
    herd(project, "render")

    found = tree(project)
    assert "mac2/Users/llm/llama-swap/config.yaml" in found
    assert b"facts DEFAULTS declared in facts.lock" in found["mac2/MANIFEST"]


def test_settings_that_are_wrong_are_told_all_and_the_rest_is_rendered(project: Path) -> None:
    edit("inventory.py", '"proxy_port": 3100', '"proxy_port": 99')(project)
    done = herd(project, "render")

    assert done.returncode == 1
    assert "mac2: proxy_port, from host mac2 of the inventory" in done.stderr
    assert {name.partition("/")[0] for name in tree(project)} == {"mac1", ".gitignore"}


def test_no_host_is_no_failure(project: Path) -> None:
    (project / "inventory.py").write_text("macs = []\n")
    done = herd(project, "render")

    assert (done.returncode, done.stderr) == (0, "")


# -- What changes


def commit(project: Path) -> None:
    for words in (["init", "-q"], ["add", "-A"], ["commit", "-qm", "as it was"]):
        identity = ["-c", "user.name=t", "-c", "user.email=t@example.com"]
        subprocess.run(["git", *identity, *words], cwd=project, check=True, capture_output=True)


@pytest.mark.soak
def test_hosts_with_the_same_change_are_together(project: Path) -> None:
    commit(project)
    edit("group_data/all.py", "llama_swap_health_timeout = 900", "llama_swap_health_timeout = 60")(
        project
    )
    done = herd(project, "render-diff", "HEAD")

    assert done.returncode == 0, done.stderr
    assert "== changed on 2 hosts: mac1, mac2\n" in done.stdout
    assert done.stdout.count("+healthCheckTimeout: 60") == 1
    assert "0 of 2 hosts as they were" in done.stdout


@pytest.mark.soak
def test_a_change_of_one_host_names_it_alone(project: Path) -> None:
    commit(project)
    edit("inventory.py", '"ctx_size": 4096', '"ctx_size": 2048')(project)
    done = herd(project, "render-diff", "HEAD")

    assert "== changed on 1 host: mac2\n" in done.stdout
    assert "-      --ctx-size 4096\n+      --ctx-size 2048" in done.stdout
    assert "1 of 2 hosts as they were" in done.stdout


def test_a_change_of_the_code_is_shown_as_one_of_a_setting(project: Path) -> None:
    """The older commit is rendered by its own code; digests do not tell hosts apart."""
    commit(project)
    edit(
        "herd/core/mac/job_definitions.py",
        "{LLAMA_SWAP: 90, PROXY: 10,",
        "{LLAMA_SWAP: 95, PROXY: 10,",
    )(project)
    edit("proxy/__init__.py", "The auth proxy", "The proxy")(project)
    done = herd(project, "render-diff", "HEAD")

    assert "== changed on 2 hosts: mac1, mac2\n" in done.stdout
    assert "-\t<integer>90</integer>\n+\t<integer>95</integer>" in done.stdout
    assert "--- ~/llama-swap/proxy/release/proxy/__init__.py" in done.stdout
    assert done.stdout.count("+++ ") < 8


@pytest.mark.soak
def test_hosts_that_come_and_go(project: Path) -> None:
    commit(project)
    (project / "inventory.py").write_text('macs = [("mac3", {"ssh_user": "anna"}), "mac1"]\n')
    done = herd(project, "render-diff", "HEAD")

    assert "== new on 1 host: mac3\n" in done.stdout
    assert "== gone on 1 host: mac2\n" in done.stdout


def test_a_commit_that_git_does_not_know(project: Path) -> None:
    commit(project)
    done = herd(project, "render-diff", "no-such-branch")

    assert (done.returncode, done.stdout) == (1, "")
    assert "git knows no commit 'no-such-branch'" in done.stderr
