"""What root may be asked for is granted word by word, and nothing beside it."""

import shutil
import subprocess
from pathlib import Path

import pytest

from herd.core.mac import sudo_rules
from herd.core.mac.sudo_rules import Command, spec, writes
from lab.sudoers import allows

PLIST = "<plist><dict><key>a=b</key><string>50 % of \\ 'it', *?[x]!\n\t#ü:</string></dict></plist>"
COMMANDS: list[Command] = [
    ("/bin/launchctl", "bootstrap", "system", "/Library/LaunchDaemons/com.example.a-b.plist"),
    ("/usr/bin/true",),
    ("/usr/sbin/sysctl", "iogpu.wired_limit_mb=57344"),
    ("/usr/bin/powermetrics", "--samplers", "gpu_power,cpu_power", "-n", "1"),
    ("/bin/echo", "a b", "*", "?", "[a-z]", "!x", "^.*$", "a\\b", "#1", ":", "\\*", "ü"),
    writes("/Library/LaunchDaemons/com.example.plist", PLIST),
]


@pytest.mark.parametrize("command", COMMANDS)
def test_a_rule_lets_through_exactly_its_command(command: Command) -> None:
    rule = f"me ALL=(root) NOPASSWD: {spec(command)}"

    assert allows(rule, list(command))
    assert not allows(rule, [*command, "more"])
    assert not allows(rule, [f"/tmp{command[0]}", *command[1:]])
    for number, word in enumerate(command[1:], 1):
        for other in (f"{word}x", f"x{word}", word[:-1]):
            assert not allows(rule, [*command[:number], other, *command[number + 1 :]])


def test_what_would_be_a_pattern_matches_itself_only() -> None:
    assert not allows(spec(("/bin/echo", "*")), ["/bin/echo", "anything"])
    assert not allows(spec(("/bin/echo", "a?c")), ["/bin/echo", "abc"])
    assert not allows(spec(("/bin/echo", "[a-z]")), ["/bin/echo", "b"])
    assert not allows(spec(("/bin/echo",)), ["/bin/echo", "b"])


@pytest.mark.parametrize("word", ["", "a\nb", "a\tb", "\x7f"])
def test_what_sudoers_cannot_hold_is_refused(word: str) -> None:
    with pytest.raises(ValueError, match="no such word"):
        spec(("/bin/echo", word))


@pytest.mark.parametrize("shell", ["sh", "bash", "dash", "zsh"])
def test_a_file_of_root_is_written_whole(shell: str, tmp_path: Path) -> None:
    if not shutil.which(shell):
        pytest.skip(f"there is no {shell} here")
    path = tmp_path / "com.example.plist"
    program, *words = writes(str(path), PLIST)
    subprocess.run([shell, *words], check=True)

    assert program == "/bin/sh"
    assert path.read_text() == PLIST
    assert (path.stat().st_mode & 0o777, [p.name for p in tmp_path.iterdir()]) == (
        0o644,
        [path.name],
    )


def test_no_beginning_of_it_puts_another_file_in_place(tmp_path: Path) -> None:
    """sudo compares the words joined by blanks, so a caller may cut them where he likes."""
    path = tmp_path / "com.example.plist"
    (script,) = writes(str(path), PLIST)[2:]
    words = script.split(" ")
    for cut in range(1, len(words)):
        cut_here = [" ".join(words[:cut]), *words[cut:]]
        subprocess.run(["sh", "-c", *cut_here], cwd=tmp_path, capture_output=True)

        assert not path.exists()
        assert [p.read_text() for p in tmp_path.iterdir() if p.stat().st_size] in ([], [PLIST])


@pytest.mark.parametrize("path", ["relative", "/a b", "/a;b", "/a'b", "/$HOME", "/ü"])
def test_a_path_is_plain(path: str) -> None:
    with pytest.raises(ValueError, match="no path"):
        writes(path, "text")


def test_the_probe_names_all_that_is_granted() -> None:
    probes = {sudo_rules.probe(COMMANDS[:number]) for number in range(len(COMMANDS))}

    assert len(probes) == len(COMMANDS)
    assert sudo_rules.probe(COMMANDS) == sudo_rules.probe(list(COMMANDS))
    assert all(program == "/usr/bin/true" for program, _ in probes)


@pytest.mark.parametrize("user", ["me", "anna.b-c_d"])
def test_sudo_reads_the_file_as_it_is_meant(user: str, tmp_path: Path) -> None:
    """By sudo's own parsers, where they are (visudo, cvtsudoers)."""
    text = sudo_rules.rendered("mac1", "/etc/sudoers.d/com-example", user, COMMANDS)
    assert f"{user} ALL=(root) NOPASSWD: /usr/bin/true llama-herd-" in text
    visudo = shutil.which("visudo")
    if not visudo:
        pytest.skip("there is no visudo here")
    path = tmp_path / "com-example"
    path.write_text(text)
    path.chmod(0o440)
    said = subprocess.run([visudo, "-cf", path], capture_output=True, text=True)

    assert "parsed OK" in said.stdout, said.stderr


@pytest.mark.parametrize(
    ("user", "whose"), [("me", "me"), ("ALL", "#501"), ("Anna", "#501"), ("a,b", "#501")]
)
def test_a_name_that_means_more_in_sudoers_is_given_by_its_number(user: str, whose: str) -> None:
    assert sudo_rules.user_in_sudoers(user, 501) == whose
