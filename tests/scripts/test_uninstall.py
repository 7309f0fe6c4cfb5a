"""What an uninstall looks at and does by scripts: files by kind, packages by who needs them."""

from pathlib import Path

from tests.scripts.conftest import Machine


def test_files_are_told_by_kind_and_links_are_not_followed(
    machine: Machine, tmp_path: Path
) -> None:
    root = tmp_path / "my stack"
    (root / "proxy/env-3.13-0").mkdir(parents=True)
    (root / "proxy/tls-key.pem").touch()
    (root / ".hidden").touch()
    (root / "to models").symlink_to(tmp_path)
    (root / "nowhere").symlink_to(tmp_path / "none")

    found = machine.run("stack-files", root).stdout.splitlines()

    assert sorted(found) == sorted(
        [
            *("d .", "d proxy", "d proxy/env-3.13-0", "f proxy/tls-key.pem"),
            *("f .hidden", "f to models", "f nowhere"),
        ]
    )
    assert machine.run("stack-files", tmp_path / "none").stdout == ""


def test_a_directory_that_is_a_link_is_looked_into(machine: Machine, tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")

    assert machine.run("stack-files", tmp_path / "link").stdout == "d .\n"


def brew(machine: Machine, prefix: Path, needs: str) -> None:
    """A brew that refuses what is needed: pairs "NAME:BY"."""
    machine.program(
        "../prefix/bin/brew",
        f'''
echo "$*" >>"{prefix}/calls"
[ "$1" = uninstall ] || exit 0
name=${{3##*/}}
for pair in {needs}; do
  if [ "${{pair%%:*}}" = "$name" ] && [ -d "{prefix}/Cellar/${{pair#*:}}" ]; then
    echo "Error: Refusing to uninstall $name" >&2
    echo "because it is required by ${{pair#*:}}, which is currently installed." >&2
    exit 1
  fi
done
rmdir "{prefix}/Cellar/$name"
''',
    )


def test_packages_go_in_the_order_in_which_they_need_each_other(
    machine: Machine, tmp_path: Path
) -> None:
    prefix, note = tmp_path / "prefix", tmp_path / "noted"
    names = ["openssl@3", "python@3.14", "t/ap/llama-swap", "hf", "sqlite"]
    for name in [*names, "theirs"]:
        (prefix / "Cellar" / name.rpartition("/")[2]).mkdir(parents=True)
    brew(machine, prefix, "openssl@3:python@3.14 python@3.14:hf sqlite:theirs")
    note.touch()

    done = machine.run("brew-uninstall", prefix, note, *names, "gone already")

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == ["sqlite stays: another formula needs it"]
    assert {rack.name for rack in (prefix / "Cellar").iterdir()} == {"sqlite", "theirs"}
    assert "untap t/ap" in (prefix / "calls").read_text().splitlines()
    assert not note.exists()


def test_a_homebrew_that_fails_keeps_the_note(machine: Machine, tmp_path: Path) -> None:
    prefix, note = tmp_path / "prefix", tmp_path / "noted"
    (prefix / "Cellar/uv").mkdir(parents=True)
    machine.program("../prefix/bin/brew", "echo 'Error: no' >&2; exit 1")
    note.touch()

    done = machine.run("brew-uninstall", prefix, note, "uv")

    assert (done.returncode, done.stderr) == (1, "Error: no\n")
    assert note.exists()


def test_what_is_installed_is_noted_once(machine: Machine, tmp_path: Path) -> None:
    note, cellar = tmp_path / "s/noted", tmp_path / "Cellar"
    for name in ("llama-swap", "uv", "ggml", "hf"):
        (cellar / name).mkdir(parents=True)

    for _ in range(2):
        machine.run("note-packages", note, "t/ap/llama-swap", "uv")
        machine.run("note-dependencies", note, cellar, "hf")

    assert note.read_text().split() == ["t/ap/llama-swap", "uv", "ggml"]
    assert note.stat().st_mode & 0o777 == 0o600
