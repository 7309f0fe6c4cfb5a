"""A herd in a repository of its own: begun once, its owner's from then on, and no fork of ours."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from herd.core.mac import facts_lock as known
from herd.core.mac.facts_lock import Facts, LlamaServer
from herd.core.mac.llama_server_flags import Flags
from herd.core.models import models_lock as lock
from herd.core.models.models_lock import Lock
from herd.render.changes import compare
from herd.workstation import new_repository as repository
from herd.workstation import toolkit
from lab.llama_server.__main__ import HELP
from tests import preloaded
from tests.checks import sample
from tests.core.samples import ROOT

FILES = {
    *(".github/workflows/configs.yml", ".gitignore", ".pre-commit-config.yaml", "README.md"),
    *("group_data/all.py", "inventory.py", "requirements.txt"),
}
Done = subprocess.CompletedProcess[str]


def run(cwd: Path, *words: str | Path, code: Path = ROOT, **environment: str) -> Done:
    """`llama-herd …` in a directory, by the code of a checkout, with no key and no Hub."""
    return preloaded.run(
        [str(code / "llama_herd.py"), *map(str, words)],
        cwd=cwd,
        env=os.environ | {"HF_ENDPOINT": "http://127.0.0.1:9", "HOME": str(cwd)} | environment,
        timeout=120,
    )


def files(directory: Path) -> dict[str, tuple[bytes, int]]:
    """All that is there but git's own, with the time of its last change."""
    return {
        path.relative_to(directory).as_posix(): (path.read_bytes(), path.stat().st_mtime_ns)
        for path in directory.rglob("*")
        if path.is_file() and ".git" not in path.relative_to(directory).parts
    }


def git(directory: Path, *words: str) -> str:
    who = ["-c", "user.name=anna", "-c", "user.email=anna@example.com"]
    done = subprocess.run(
        ["git", *who, *words], cwd=directory, capture_output=True, text=True, check=True
    )
    return done.stdout


def declare(directory: Path) -> None:
    """Two Macs and their models, as tests/checks have them, in as few lines as that takes."""
    (directory / "inventory.py").write_text(sample.INVENTORY)
    (directory / "group_data/all.py").write_text(sample.SETTINGS)
    splits = [f"big-{number:05d}-of-00003.gguf" for number in (1, 2, 3)]
    models = [sample.locked("big", *splits), sample.locked("tiny", "tiny.gguf")]
    (directory / "models.lock").write_text(lock.dump(Lock(models=models)))
    server = LlamaServer.of(Flags.parse(HELP))
    hosts = {"mac1": sample.mac("anna"), "mac2": sample.mac("ben")}
    facts = Facts(hosts=hosts, llama_servers={server.name: server})
    (directory / "facts.lock").write_text(known.dump(facts))


@pytest.fixture
def fleet(tmp_path: Path) -> Path:
    """A repository that `init` began, with two Macs in it and all of it committed."""
    done = run(tmp_path, "init", "fleet")
    assert done.returncode == 0, done.stderr
    declare(tmp_path / "fleet")
    git(tmp_path / "fleet", "add", "--all")
    git(tmp_path / "fleet", "commit", "--quiet", "--message", "our herd")
    return tmp_path / "fleet"


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory to be in."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


# -- What init writes


def test_a_few_files_in_a_git_repository_and_no_second_time(tmp_path: Path) -> None:
    first = run(tmp_path, "init", "fleet")
    before = files(tmp_path / "fleet")
    second = run(tmp_path, "init", "fleet")

    assert (first.returncode, second.returncode) == (0, 0), first.stderr + second.stderr
    assert set(before) == FILES
    assert files(tmp_path / "fleet") == before
    assert second.stdout == "fleet is a repository of a herd already; nothing was changed\n"
    assert git(tmp_path / "fleet", "status", "--short", "--branch").startswith("## No commits yet")
    assert len(before["README.md"][0].splitlines()) <= 10


def test_a_second_time_changes_nothing_of_what_became_of_it(fleet: Path) -> None:
    before = files(fleet)

    assert run(fleet, "init", ".").returncode == 0
    assert files(fleet) == before
    assert git(fleet, "status", "--short") == ""


def test_what_was_cut_off_is_gone_on_with(here: Path) -> None:
    repository.init("fleet")
    (here / "fleet/README.md").unlink()
    shutil.rmtree(here / "fleet/group_data")
    repository.init("fleet")

    assert set(files(here / "fleet")) == FILES


def test_a_fresh_clone_and_a_directory_of_another_repository_are_taken(here: Path) -> None:
    for inner in ("clone", "all/fleet"):
        (here / inner).mkdir(parents=True)
    git(here / "clone", "init", "--quiet")
    git(here / "all", "init", "--quiet")

    for inner in ("clone", "all/fleet"):
        repository.init(inner)
        assert set(files(here / inner)) == FILES
    assert not (here / "all/fleet/.git").exists()


@pytest.mark.parametrize(
    "name", ["inventory.py", "group_data/all.py", "group_data/canary.py", "notes.txt", "build/x"]
)
def test_what_is_there_is_said_and_left(here: Path, name: str) -> None:
    mine = here / "fleet" / name
    mine.parent.mkdir(parents=True)
    mine.write_text("mine")
    before = files(here)

    with pytest.raises(ValueError, match="fleet is not empty, so nothing was written") as told:
        repository.init("fleet")

    assert f": there is {name.removesuffix('/x')}.\n" in str(told.value)
    assert files(here) == before


@pytest.mark.soak
def test_the_forge_and_the_hook_run_what_is_there(fleet: Path) -> None:
    """The workflow is the toolkit's own, but for how it comes to the command."""
    workflow = yaml.safe_load((fleet / ".github/workflows/configs.yml").read_text())
    ours = yaml.safe_load((ROOT / ".github/workflows/configs.yml").read_text())
    hook = yaml.safe_load((fleet / ".pre-commit-config.yaml").read_text())["repos"][0]["hooks"][0]
    steps = [job["jobs"]["check"].pop("steps") for job in (workflow, ours)]
    scripts = "\n".join(step.get("run", "") for step in steps[0])
    called = [hook["entry"], *re.findall(r"\.venv/bin/(llama-herd [^;\n]+)", scripts)]

    assert len(called) == 3
    for command in called:
        words = [word.replace("$BASE", "HEAD") for word in shlex.split(command)[1:]]
        done = run(fleet, *words)
        assert done.returncode == 0, done.stdout + done.stderr
    assert (fleet / "build/configs.sarif").exists()
    assert workflow["jobs"] == ours["jobs"]
    one, other = ([step["uses"] for step in each if "uses" in step] for each in steps)
    assert one == other


# -- Where it cannot be

BAD = {
    "a/b/fleet": "there is no directory a/b; make it first",
    "file": "file is a file; name a directory",
    "file/fleet": "there is no directory file; make it first",
    "link": "link is a link to nothing",
    **{
        name: "is no name for a directory that make and shells leave as it is"
        for name in (
            *("", "$HOME", "a$(touch ran)", "`touch ran`", "a;touch ran", "a|b", "a&b", "a>b"),
            *("a'b", 'a"b', "a\\b", "a#b", "a%b", "a*", "a?", "[a]", "{a}", "~", "~/fleet", "!a"),
            *("a:b", "a=b", "a\nb", "a\tb", "-fleet", " fleet", "fleet ", "a\x1b[2Jb"),
        )
    },
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_directory_is_one_clear_message(here: Path, name: str) -> None:
    (here / "file").write_text("")
    (here / "link").symlink_to("nowhere")
    before = sorted(here.iterdir())

    with pytest.raises(ValueError, match=re.escape(BAD[name])) as told:
        repository.init(name)

    assert len(str(told.value).splitlines()) == 1
    assert str(told.value).isprintable()
    assert sorted(here.iterdir()) == before


def test_not_inside_the_toolkit(here: Path) -> None:
    (here / "link").symlink_to(ROOT)

    for name in (str(ROOT), f"{ROOT}/fleet", "link/fleet", "link/docs"):
        with pytest.raises(
            ValueError, match=re.escape(f"{name} is inside the toolkit, {ROOT.resolve()}")
        ):
            repository.init(name)
    assert not (ROOT / "fleet").exists()


def test_what_is_wrong_is_told_by_the_command(tmp_path: Path) -> None:
    done = run(tmp_path, "init", "--", "-fleet")

    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("'-fleet' is no name for a directory")


def test_a_blank_in_a_path_is_no_trouble(tmp_path: Path) -> None:
    (tmp_path / "our Macs").mkdir()

    assert run(tmp_path, "init", "our Macs/the fleet").returncode == 0
    done = run(tmp_path, "check-configs", "--inventory", "our Macs/the fleet/inventory.py")
    assert done.returncode == 0, done.stdout + done.stderr


# -- The pin


@pytest.mark.parametrize(
    ("line", "pin"),
    [
        ("llama-herd==0.2.0", "0.2.0"),
        ("llama-herd[verify] == 0.2.0  # ours", "0.2.0"),
        ("llama-herd[verify] @ git+https://example.com/us/llama-herd@v0.2.0", "v0.2.0"),
        ("llama-herd @ git+ssh://git@example.com/us/llama-herd.git@c0ffee12", "c0ffee12"),
        ("other==1\nllama-herd @ git+file:///srv/herd@v1 ; python_version > '3'", "v1"),
        ("llama-herd @ git+ssh://git@example.com/us/llama-herd.git", ""),
        ("# llama-herd==0.2.0\nllama-herder==3", ""),
        ("", ""),
    ],
)
def test_the_pin_is_read_as_pip_reads_it(tmp_path: Path, line: str, pin: str) -> None:
    (tmp_path / toolkit.PIN).write_text(f"{line}\n")

    assert toolkit.pinned(tmp_path) == pin


@pytest.mark.parametrize(
    ("origin", "address"),
    [
        ("https://example.com/us/herd.git", "git+https://example.com/us/herd.git"),
        ("https://anna:s3cret@example.com/us/herd", "git+https://example.com/us/herd"),
        ("https://s3cret@example.com/us/herd", "git+https://example.com/us/herd"),
        ("git@example.com:us/herd.git", "git+ssh://git@example.com/us/herd.git"),
        ("ssh://git@example.com:22/us/herd", "git+ssh://git@example.com:22/us/herd"),
        ("ssh://git:s3cret@example.com/us/herd", "git+ssh://git@example.com/us/herd"),
        ("/srv/our herd", "git+file://localhost/srv/our%20herd"),
        ("file:///srv/herd", "git+file://localhost/srv/herd"),
    ],
)
def test_the_toolkit_is_pinned_from_where_it_came_without_a_password(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, origin: str, address: str
) -> None:
    monkeypatch.setattr(toolkit, "ROOT", tmp_path)
    git(tmp_path, "init", "--quiet")
    git(tmp_path, "commit", "--quiet", "--allow-empty", "--message", "one")
    git(tmp_path, "remote", "add", "origin", origin)

    commit = git(tmp_path, "rev-parse", "HEAD").strip()
    assert toolkit.requirement() == f"llama-herd[verify] @ {address}@{commit}"
    git(tmp_path, "tag", "v1.2")
    assert toolkit.requirement() == f"llama-herd[verify] @ {address}@v1.2"


@pytest.mark.parametrize("url", ["file:///srv/our%20herd", "file://localhost/srv/our herd"])
def test_what_pip_of_python_3_11_would_refuse_is_not_written(
    monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    """It takes no address without a host; newer ones note what they decoded."""
    installed(monkeypatch, url=url, vcs_info={"vcs": "git", "commit_id": "c0ffee"})

    line = toolkit.requirement()

    assert line == "llama-herd[verify] @ git+file://localhost/srv/our%20herd@c0ffee"
    requirements = pytest.importorskip("pip._vendor.packaging.requirements")
    assert requirements.Requirement(line).url == line.partition(" @ ")[2]


def test_an_install_is_of_the_commit_that_was_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The repository that it came from, here, has gone on since."""
    git(tmp_path, "init", "--quiet")
    commits = []
    for message in ("one", "two"):
        git(tmp_path, "commit", "--quiet", "--allow-empty", "--message", message)
        commits.append(git(tmp_path, "rev-parse", "HEAD").strip())
    installed(monkeypatch, url=tmp_path.as_uri(), vcs_info={"vcs": "git", "commit_id": commits[0]})
    (tmp_path / toolkit.PIN).write_text(f"{toolkit.requirement()}\n")

    assert toolkit.revision() == commits[0]
    assert toolkit.pinned(tmp_path) == commits[0]
    assert toolkit.mismatch(tmp_path) == ""
    sample.edit(toolkit.PIN, *commits)(tmp_path)
    assert toolkit.mismatch(tmp_path).endswith(f" {commits[1]}, and this is {commits[0]}")


def installed(monkeypatch: pytest.MonkeyPatch, **how: object) -> None:
    """As pip notes it, in place of the checkout that this is."""
    monkeypatch.setattr(toolkit, "is_checkout", lambda: False)
    monkeypatch.setattr(toolkit, "_installed", lambda: how)


# -- Work there


def test_only_what_is_otherwise_is_declared(fleet: Path) -> None:
    """Settings lie over the toolkit's, of models' defaults one by one; who names models there
    names all."""
    assert run(fleet, "render").returncode == 0
    before = (fleet / "build/rendered/mac1/Users/anna/llama-swap/config.yaml").read_text()
    with (fleet / "group_data/all.py").open("a") as file:
        file.write('model_defaults = {"ctx_size": 2048}\nproxy_port = 3456\n')
    done = run(fleet, "render")

    assert done.returncode == 0, done.stderr
    after = (fleet / "build/rendered/mac1/Users/anna/llama-swap/config.yaml").read_text()
    assert "--ctx-size 8192" in before
    assert "gpt-oss" not in before
    assert after == before.replace("--ctx-size 8192", "--ctx-size 2048")
    plists = (fleet / "build/rendered/mac1/Users/anna/Library/LaunchAgents").glob("*proxy*")
    assert [("3456" in plist.read_text()) for plist in plists] == [True]


def test_a_model_of_the_toolkit_is_served_otherwise_in_one_line(fleet: Path) -> None:
    (fleet / "group_data/all.py").write_text('models = {"gpt-oss-120b": {"ctx_size": 2048}}\n')
    (fleet / "inventory.py").write_text('macs = ["mac1"]\n')

    done = run(fleet, "check-configs")

    (message,) = re.findall(r"There is no|It is not in models.lock", done.stdout)
    assert message == "It is not in models.lock"
    assert "gpt-oss-120b" in done.stdout
    assert "repo" not in done.stdout


def test_checks_are_of_its_own_files_from_wherever_they_run(fleet: Path, tmp_path: Path) -> None:
    clean = run(fleet, "check-configs")
    assert clean.returncode == 0, clean.stdout + clean.stderr

    with (fleet / "group_data/all.py").open("a") as file:
        file.write("llama_swap_release = {}\nlaunchd_autostart = 'sometimes'\n")
    (fleet / "notes.txt").write_text("hf_" + "aBcDeFgHiJ" * 3 + "aBcD\n")
    git(fleet, "add", "--all")
    line = len((fleet / "group_data/all.py").read_text().splitlines())
    here = run(fleet, "check-configs", "--sarif", "build/found.sarif")
    there = run(tmp_path, "check-configs", "--inventory=fleet/inventory.py", "--sarif=there.sarif")

    assert f"group_data/all.py:{line}: error: [settings]" in here.stdout
    assert f"fleet/group_data/all.py:{line}: error: [settings]" in there.stdout
    assert "Fix: `llama-herd pin` writes version, url and sha256" in here.stdout
    assert "notes.txt:1: error: [secret-in-git]" in here.stdout
    assert (tmp_path / "there.sarif").read_text() == (fleet / "build/found.sarif").read_text()
    found = json.loads((tmp_path / "there.sarif").read_text())["runs"][0]["results"]
    places = [each["locations"][0]["physicalLocation"]["artifactLocation"] for each in found]
    assert {place["uri"] for place in places} == {"group_data/all.py", "notes.txt"}


def test_a_toolkit_s_own_fault_is_shown_where_it_is(fleet: Path, tmp_path: Path) -> None:
    code = copy(tmp_path / "toolkit")
    template = code / "templates/config.yaml.j2"
    template.write_text(template.read_text().replace("{{ model.ttl }}", "{{ model.tll }}"))

    done = run(fleet, "check-configs", "--sarif", "build/found.sarif", code=code)

    assert f"{template}:" in done.stdout
    found = json.loads((fleet / "build/found.sarif").read_text())["runs"][0]["results"]
    assert {
        each["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] for each in found
    } >= {template.as_uri()}


def test_a_lock_that_is_missing_is_all_that_is_said_of_it(fleet: Path) -> None:
    (fleet / "models.lock").unlink()

    done = run(fleet, "check-configs")

    assert done.returncode == 1
    assert "There is no models.lock, which says what to fetch." in done.stdout
    assert "`llama-herd lock`, and commit models.lock." in done.stdout
    assert set(re.findall(r"error: \[(\S+)\]", done.stdout)) == {"models-lock"}
    assert "does not make" not in done.stdout


def test_the_workstations_keys_lie_beside_the_inventory(fleet: Path, tmp_path: Path) -> None:
    (fleet / "group_data/all.py").write_text("")
    (tmp_path / "config.json").write_text('{"apiKeys": ["sk-another-herds-EXAMPLE-0123456789"]}')

    made = run(tmp_path, "key", "--inventory=fleet/inventory.py", "me")

    assert made.returncode == 0, made.stderr
    assert "Its entry is in fleet/config.json, which the next deploy ships." in made.stdout
    assert "Next: `llama-herd deploy`." in made.stdout
    entries = json.loads((fleet / "config.json").read_text())["apiKeys"]
    assert [entry["name"] for entry in entries] == ["me"]
    assert "config.json" not in git(fleet, "status", "--short", "--untracked-files")


@pytest.mark.soak
def test_a_deploy_is_refused_as_ever_and_asks_for_nothing_else(fleet: Path) -> None:
    (fleet / "models.lock").unlink()
    for verb in ("plan", "deploy", "upgrade"):
        done = run(fleet, verb, "--limit=mac1", "--diff")
        assert done.returncode == 1
        assert "nothing was connected to or changed." in done.stderr
        assert "Fix: run `llama-herd lock`, and commit models.lock." in done.stderr

    misspelled = run(fleet, "status", "--diff")
    assert (misspelled.returncode, misspelled.stdout) == (2, "")
    assert "unrecognized arguments: --diff" in misspelled.stderr


def test_group_data_of_another_directory_is_nobodys(fleet: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    (other / "group_data").mkdir(parents=True)
    (other / "group_data/all.py").write_text("proxy_port = 'of another herd'\n")

    assert run(other, "check-configs", "--inventory=../fleet/inventory.py").returncode == 0
    assert not (other / "build").exists()


# -- From one version of the toolkit to the next


def copy(directory: Path) -> Path:
    """The toolkit as it is in the working tree."""
    parts = ("fetcher", "group_data", "herd", "proxy", "skeleton", "templates", "tests/infra")
    for part in parts:
        skip = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / part, directory / part, ignore=skip)
    programs = ("config.py", "deploy.py", "rollback.py", "uninstall.py", "llama_herd.py")
    alone = (*programs, "pyproject.toml", "README.md")
    for name in (*alone, "tests/__init__.py"):
        shutil.copy(ROOT / name, directory / name)
    return directory


@pytest.fixture
def versions(tmp_path: Path) -> Path:
    """A toolkit's repository with two tags; the second renders and declares otherwise."""
    code = copy(tmp_path / "toolkit")
    git(code, "init", "--quiet", "--initial-branch=main")
    for tag in ("v0.1.0", "v0.2.0"):
        git(code, "add", "--all")
        git(code, "commit", "--quiet", "--allow-empty", "--message", tag)
        git(code, "tag", tag)
        for name, old, new in (
            ("pyproject.toml", 'version = "0.1.0"', 'version = "0.2.0"'),
            ("group_data/all.py", '"ctx_size": 8192', '"ctx_size": 4096'),
            ("group_data/all.py", "proxy_port = 3000", "proxy_port = 3300"),
            ("templates/config.yaml.j2", "captureBuffer: 0", "captureBuffer: 0 # of 0.2.0"),
            ("skeleton/inventory.py", "The herd", "The herd of 0.2.0"),
        ):
            if tag == "v0.1.0":
                sample.edit(name, old, new)(code)
    git(code, "checkout", "--quiet", "v0.1.0")
    return code


@pytest.mark.soak
def test_an_upgrade_from_tag_to_tag_merges_nothing_and_shows_what_it_changes(
    versions: Path, tmp_path: Path
) -> None:
    fleet = tmp_path / "fleet"
    assert run(tmp_path, "init", "fleet", code=versions).returncode == 0
    declare(fleet)
    git(fleet, "add", "--all")
    git(fleet, "commit", "--quiet", "--message", "our herd")
    pin = f"llama-herd[verify] @ git+file://localhost{versions}@v0.1.0\n"
    assert (fleet / "requirements.txt").read_text().endswith(pin)
    same = run(fleet, "render-diff", code=versions)
    assert same.stdout.endswith(": 2 of 2 hosts as they were\n"), same.stdout + same.stderr
    assert same.stderr == ""

    git(versions, "checkout", "--quiet", "v0.2.0")
    before = files(fleet)
    noted = run(fleet, "check-configs", code=versions)
    again = run(tmp_path, "init", "fleet", code=versions)

    assert "requirements.txt names llama-herd v0.1.0, and this is v0.2.0." in noted.stderr
    assert (noted.returncode, again.returncode) == (0, 0), noted.stdout
    kept = {name: found for name, found in files(fleet).items() if not name.startswith("build/")}
    assert kept == {name: f for name, f in before.items() if not name.startswith("build/")}
    assert git(fleet, "status", "--short") == ""

    sample.edit("requirements.txt", "@v0.1.0", "@v0.2.0")(fleet)
    shown = run(fleet, "render-diff", code=versions)
    assert (shown.returncode, shown.stderr) == (0, "")
    assert "+captureBuffer: 0 # of 0.2.0" in shown.stdout
    assert "-        --ctx-size 8192" in re.sub(r" +--ctx", " " * 8 + "--ctx", shown.stdout)
    assert "3300" in shown.stdout


def test_an_install_in_the_repositorys_own_environment_renders_both(fleet: Path) -> None:
    """As docs/fleet.md and the workflow have it; git ignores it, so no commit has it."""
    code = copy(fleet / ".venv/lib/llama_herd")
    sample.edit("inventory.py", '"proxy_port": 3100', '"proxy_port": 3456')(fleet)

    shown = run(fleet, "render-diff", "main", code=code)

    assert shown.returncode == 0, shown.stderr
    assert "== changed on 1 host: mac2\n" in shown.stdout
    assert "3456" in shown.stdout


def test_what_was_never_committed_is_compared_with_nothing(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HERD_PROGRAM", "llama-herd")
    repository.init("fleet")

    with pytest.raises(ValueError, match=r"^git knows no commit 'main'; there is none here yet$"):
        compare("fleet/inventory.py", "main")
    git(here / "fleet", "commit", "--quiet", "--allow-empty", "--message", "one")
    with pytest.raises(ValueError, match=r"or name another, as `llama-herd render-diff HEAD`$"):
        compare("fleet/inventory.py", "v1")


@pytest.fixture(scope="module")
def tools() -> Path:
    """uv, with a package index to build by."""
    uv = Path(sys.executable).with_name("uv")
    if not uv.exists():
        pytest.skip("uv is not here")
    return uv


@pytest.mark.soak
def test_a_plain_install_has_all_and_a_newer_one_leaves_a_herd_alone(
    versions: Path, tmp_path: Path, tools: Path
) -> None:
    """Without a checkout, in an environment of its own; its dependencies are those of the tests."""
    environment = tmp_path / "environment"
    subprocess.run([tools, "venv", "-q", "--python", sys.executable, environment], check=True)
    (site,) = environment.glob("lib/python*/site-packages")
    (here,) = (path for path in map(Path, sys.path) if path.name == "site-packages")
    (site / "dependencies.pth").write_text(f"{here}\n")

    def install(tag: str) -> None:
        git(versions, "checkout", "--quiet", tag)
        words = ["pip", "install", "-q", "--no-deps", "--reinstall", "--no-cache"]
        where = [
            "--python",
            environment / "bin/python",
            f"llama-herd @ git+{versions.as_uri()}@{tag}",
        ]
        done = subprocess.run([tools, *words, *where], capture_output=True, text=True)
        if "hatchling" in done.stderr:
            pytest.skip(f"no package index: {done.stderr.strip().splitlines()[0]}")
        assert done.returncode == 0, done.stderr

    def herd(cwd: Path, *words: str) -> Done:
        return subprocess.run(
            [environment / "bin/llama-herd", *words], cwd=cwd, capture_output=True, text=True,
            env=os.environ | {"HF_ENDPOINT": "http://127.0.0.1:9"}, timeout=120,
        )  # fmt: skip

    install("v0.1.0")
    shutil.move(versions, tmp_path / "gone")
    assert {path.name for path in site.iterdir()} & {"herd", "proxy", "templates"} == set()
    fleet = tmp_path / "fleet"
    assert herd(tmp_path, "init", "fleet").returncode == 0
    pin = f"llama-herd[verify] @ git+file://localhost{versions}@v0.1.0\n"
    assert (fleet / "requirements.txt").read_text().endswith(pin)
    declare(fleet)
    checked = herd(fleet, "check-configs")
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert herd(fleet, "render").returncode == 0
    (fleet / "models.lock").rename(fleet / "kept")
    planned = herd(fleet, "plan")
    assert "2 problems" not in planned.stderr, planned.stderr
    assert "There is no models.lock" in planned.stderr
    (fleet / "kept").rename(fleet / "models.lock")
    verified = herd(fleet, "verify", "--collect-only", "-q")
    assert "test_5_endpoint.py::" in verified.stdout, verified.stdout + verified.stderr
    usual = files(fleet)

    shutil.move(tmp_path / "gone", versions)
    install("v0.2.0")
    assert herd(tmp_path, "init", "fleet").returncode == 0
    noted = herd(fleet, "render")
    assert "names llama-herd v0.1.0, and this is v0.2.0." in noted.stderr
    assert (
        "# of 0.2.0"
        in (fleet / "build/rendered/mac1/Users/anna/llama-swap/config.yaml").read_text()
    )
    kept = {name: found for name, found in files(fleet).items() if not name.startswith("build/")}
    assert kept == {name: f for name, f in usual.items() if not name.startswith("build/")}
