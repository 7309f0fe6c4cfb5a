"""An alias of ~/.ssh/config is the address that ssh takes for it."""

from pathlib import Path

import pytest

from herd.workstation.ssh_configuration import SshHost, look

CONFIG = """
Host studio
  HostName studio.example.com
  Port 2222
Host mini
  HostName 10.0.0.7
Host attic
  HostName 192.168.7.2
  ProxyJump bastion.example.com
Host cellar
  ProxyCommand ssh -W %h:%p bastion
Host plain
  ProxyJump none
Host *.lan
  HostName %h.example.com
Match host by-command exec "test %h = by-command"
  HostName 10.0.0.8
Match host not-by-command exec "echo no; exit 1"
  HostName 10.0.0.9
Match originalhost "quoted"
  HostName=10.0.0.10
Match localnetwork 127.0.0.0/8
  HostName 10.0.0.11
Match tagged work
  HostName 10.0.0.12
Host v6
  HostName fd00::7
Host *
  User me
"""


@pytest.mark.parametrize(
    ("name", "port", "found"),
    [
        ("studio", None, SshHost("studio.example.com", 2222)),
        ("studio", 22, SshHost("studio.example.com", 22)),
        ("mini", None, SshHost("10.0.0.7", 22)),
        ("mini", "8022", SshHost("10.0.0.7", 8022)),
        ("attic", None, SshHost("192.168.7.2", 22, "ProxyJump bastion.example.com")),
        ("plain", None, SshHost("plain", 22)),
        ("a.lan", None, SshHost("a.lan.example.com", 22)),
        ("other.local", None, SshHost("other.local", 22)),
        ("fe80::1", None, SshHost("fe80::1", 22)),
        ("v6", None, SshHost("fd00::7", 22)),
        ("by-command", None, SshHost("10.0.0.8", 22)),
        ("not-by-command", None, SshHost("not-by-command", 22)),
        ("quoted", None, SshHost("10.0.0.10", 22)),
    ],
)
def test_what_ssh_takes(tmp_path: Path, name: str, port: object, found: SshHost) -> None:
    config = tmp_path / "config"
    config.write_text(CONFIG)

    assert look(name, port=port, file=str(config)) == found


def test_a_proxy_command_is_told(tmp_path: Path) -> None:
    (tmp_path / "config").write_text(CONFIG)
    found = look("cellar", file=str(tmp_path / "config"))

    assert found.jump.startswith("ProxyCommand ssh -W ")


def test_without_a_configuration_a_name_is_an_address(tmp_path: Path) -> None:
    assert look("studio", file=str(tmp_path / "none")) == SshHost("studio", 22)


def test_what_is_included_counts(tmp_path: Path) -> None:
    (tmp_path / "more").write_text("Host studio\n  HostName 10.1.1.1\n")
    (tmp_path / "config").write_text(f"Include {tmp_path / 'more'}\n")

    assert look("studio", file=str(tmp_path / "config")).address == "10.1.1.1"
