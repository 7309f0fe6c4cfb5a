"""Faults put into rendered files: each is found by the rule that claims it, at its line.

With test_mutations.py, which puts faults into a project, the proof that the checks check.
"""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass, replace

import pytest

from herd import checks
from herd.checks import Project
from herd.core.files.written_files import Written
from tests.checks.sample import OTHER

CONFIG, KEYS, START = "/config.yaml", "/config.json", "/start.command"
SWAP, PROXY = "/com.moonspirit.llama-swap.plist", "/com.moonspirit.proxy.plist"
SECRET = "sk-" + "herd-" + OTHER[:43]
PEM = "-----BEGIN " + "PRIVATE KEY-----\n" + OTHER[:60]


@dataclass(frozen=True)
class Fault:
    """In the file of mac1 that ends so, `old` becomes `new`; `rule` tells it at the line that
    holds `at` then."""

    rule: str
    file: str
    old: str
    new: str
    at: str = ""
    mode: str = ""


def key(name: str, kind: str, value: str) -> str:
    return f"\t<key>{name}</key>\n\t<{kind}>{value}</{kind}>\n"


ALIAS = '    ttl: 0\n  "tiny"'
TWO = '"both": {"members": ["big", "tiny"], "swap": false, "exclusive": true, "persistent": false}'

FAULTS = {
    # config.yaml: what is no YAML
    "an open bracket": Fault(
        "config-syntax", CONFIG, "startPort: 10001", "startPort: [1", "logLevel"
    ),
    "a tab": Fault("config-syntax", CONFIG, "\n    ttl: 0", "\n\tttl: 0", "\tttl"),
    "a key twice": Fault(
        "config-syntax", CONFIG, "captureBuffer: 0", "logLevel: info\ncaptureBuffer: 0", "logLevel"
    ),
    # … what llama-swap refuses, or drops in silence
    "a shared alias": Fault(
        "config-loader", CONFIG, ALIAS, f'    aliases: ["little"]\n{ALIAS}', 'aliases: ["little"]'
    ),
    "an alias that is a model": Fault(
        "config-loader", CONFIG, '["little"]', '["big"]', 'aliases: ["big"]'
    ),
    "an unknown macro": Fault("config-loader", CONFIG, "--metrics", "${METRICS}", "cmd: |"),
    "a macro in a value": Fault(
        "config-loader", CONFIG, '"little"', '"${env.HOME}"', "aliases: [", ""
    ),
    "a reserved macro": Fault(
        "config-loader", CONFIG, "models:\n", "macros:\n  PORT: 5\nmodels:\n", "PORT: 5"
    ),
    "a fixed port": Fault("config-loader", CONFIG, "--port ${PORT}", "--port 10001", "proxy:"),
    "no port": Fault("config-loader", CONFIG, "startPort: 10001", "startPort: 0", "startPort"),
    "ports beyond the last": Fault(
        "config-loader", CONFIG, "startPort: 10001", "startPort: 65535", "startPort"
    ),
    "a negative ttl": Fault("config-loader", CONFIG, "ttl: 0", "ttl: -5", "ttl: -5"),
    "a stranger in a group": Fault(
        "config-loader", CONFIG, '["big", "tiny"]', '["big", "tony"]', '"tony"'
    ),
    "two groups of a model": Fault(
        "config-loader", CONFIG, TWO, f'{TWO}\n  "more": {{"members": ["big"]}}', '"more"'
    ),
    "a stranger to preload": Fault(
        "config-loader", CONFIG, 'preload: ["big"]', 'preload: ["bug"]', '["bug"]'
    ),
    "no such log": Fault("config-loader", CONFIG, "logToStdout: both", "logToStdout: all", "logTo"),
    "no cmd": Fault("config-loader", CONFIG, "    cmd: |", "    comd: |", '"big":'),
    # … what we do not mean
    "a short timeout": Fault("config-model", CONFIG, "Timeout: 900", "Timeout: 5", "Timeout: 5"),
    "a slip of the pen": Fault(
        "config-model", CONFIG, "healthCheckTimeout", "healthChekTimeout", "healthChek"
    ),
    "prompts that are kept": Fault(
        "config-model", CONFIG, "captureBuffer: 0", "captureBuffer: 10", "captureBuffer"
    ),
    "localhost": Fault(
        "config-model", CONFIG, "http://127.0.0.1", "http://localhost", "http://localhost"
    ),
    "text for a number": Fault("config-model", CONFIG, "ttl: 0", 'ttl: "0"', "ttl:"),
    # command lines
    "an unknown flag": Fault(
        "llama-server-flags", CONFIG, "--ctx-size", "--ctx-sise", "--ctx-sise"
    ),
    "a flag without its value": Fault(
        "llama-server-flags", CONFIG, "--ctx-size 8192", "--context 8192", "--context"
    ),
    "a model for everybody": Fault(
        "llama-server-line", CONFIG, "--host 127.0.0.1", "--host 0.0.0.0", "cmd: |"
    ),
    "a file that is not locked": Fault(
        "llama-server-line", CONFIG, "big-00001-of", "big-00002-from", "cmd: |"
    ),
    "an open quote": Fault("llama-server-line", CONFIG, "--alias big", "--alias 'big", "cmd: |"),
    "another program": Fault(
        "llama-server-line", CONFIG, "/opt/homebrew/bin/llama-server", "llama-server", "cmd: |"
    ),
    # property lists
    "a tag that does not end": Fault("plist-syntax", SWAP, "</dict>", "</dic>", "</dic>"),
    "an unknown key": Fault("plist-keys", SWAP, "KeepAlive", "KeepALive", "KeepALive"),
    "a key of daemons": Fault(
        "plist-session", PROXY, "<dict>\n", f"<dict>\n{key('UserName', 'string', 'me')}", "UserName"
    ),
    "a mask as text": Fault(
        "plist-keys", SWAP, "<integer>63</integer>", "<string>077</string>", "<key>Umask"
    ),
    "true as text": Fault("plist-keys", PROXY, "<true/>", "<string>true</string>", "<key>RunAt"),
    "no end": Fault("plist-keys", SWAP, ">90<", ">0<", "<key>ExitTimeOut"),
    "a throttled job": Fault("plist-keys", SWAP, "Interactive", "Background", "<key>ProcessType"),
    "the label of another": Fault(
        "plist-keys", SWAP, "com.moonspirit.llama-swap", "com.moonspirit.proxy", "<key>Label"
    ),
    "a home that nobody expands": Fault(
        "plist-paths",
        PROXY,
        "<string>/Users/anna/llama-swap</string>",
        "<string>~/llama-swap</string>",
        "<key>WorkingDirectory",
    ),
    "a file that is not there": Fault(
        "plist-paths", SWAP, "config.yaml", "config.yml", "<key>ProgramArguments"
    ),
    "a program without its path": Fault(
        "plist-paths", SWAP, "/opt/homebrew/bin/llama-swap", "llama-swap", "<key>ProgramArguments"
    ),
    "an old release": Fault(
        "plist-paths", PROXY, "/proxy/release-", "/proxy/release-0", "<key>EnvironmentVariables"
    ),
    "a log in no directory": Fault(
        "plist-paths", SWAP, "llama-swap/llama-swap.log", "logs/llama-swap.log", "<key>StandardOut"
    ),
    "another session": Fault(
        "plist-session",
        SWAP,
        "<dict>\n",
        f"<dict>\n{key('LimitLoadToSessionType', 'string', 'Background')}",
        "LimitLoadToSessionType",
    ),
    # ports
    "llama-swap for everybody": Fault(
        "ports-chain", SWAP, "127.0.0.1:8080", "0.0.0.0:8080", "0.0.0.0:8080"
    ),
    "swapped ports": Fault(
        "ports-chain", PROXY, "http://127.0.0.1:8080", "http://127.0.0.1:3000", "127.0.0.1:3000"
    ),
    "one port for two jobs": Fault("ports", PROXY, "[::]:3000", "[::]:8080", "[::]:8080"),
    "a model on the proxy's port": Fault(
        "ports", CONFIG, "startPort: 10001", "startPort: 2999", "startPort"
    ),
    # secrets
    "keys for everybody": Fault("secret-modes", KEYS, "{", "{", mode="644"),
    "a job that anybody may change": Fault("secret-modes", SWAP, "<", "<", mode="666"),
    "logs for everybody": Fault("secret-modes", SWAP, ">63<", ">18<", "<?xml"),
    "a key on a command line": Fault(
        "secret-shown", CONFIG, "--metrics", f"--api-key {SECRET}", "--api-key"
    ),
    "a private key in a script": Fault(
        "secret-shown", START, "umask", f"{PEM}\numask", "-----BEGIN"
    ),
    # scripts
    "an if without its end": Fault("script-syntax", START, "\nfi\n", "\n"),
    "a directory that may not be there": Fault(
        "shellcheck", START, "cd /Users/anna/llama-swap || exit 1", "cd /Users/anna", "cd /Users"
    ),
}


def put(project: Project, fault: Fault) -> tuple[Project, Written]:
    """The project with a fault in a file of its first host, and that file."""
    host = project.rendering.hosts[0]
    (file,) = [file for file in host.files if file.path.endswith(fault.file)]
    assert fault.old in file.text, "the fault has no place"
    text = file.text.replace(fault.old, fault.new, 1)
    bad = replace(file, content=text.encode(), mode=fault.mode or file.mode)
    files = [bad if each is file else each for each in host.files]
    hosts = [replace(host, files=files), *project.rendering.hosts[1:]]
    return replace(project, rendering=replace(project.rendering, hosts=hosts)), bad


def findings(project: Project, rule: str) -> Iterator[checks.Finding]:
    for check in checks.CHECKS:
        if rule in check.RULES:
            yield from check.check(project)


def test_the_project_itself_has_no_fault(clean: Project) -> None:
    assert checks.run(clean) == []


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_found_by_its_rule_at_its_line(clean: Project, name: str) -> None:
    fault = FAULTS[name]
    if fault.rule == "shellcheck" and not shutil.which("shellcheck"):
        pytest.skip("there is no shellcheck here")
    broken, file = put(clean, fault)

    # A fault in one file may be told of another, too: where a port is asked, and where it is held.
    place = f"build/rendered/mac1{file.path}"
    found = [each for each in findings(broken, fault.rule) if each.rule == fault.rule]
    there = [each for each in found if each.place.file == place]

    assert there
    for finding in found:
        assert finding.message.endswith((".", ")")) or "llama-swap" in finding.message
        assert finding.fix
        assert SECRET not in finding.message + finding.fix
    lines = file.text.splitlines()
    shown = [lines[finding.place.line - 1] for finding in there]
    assert any(fault.at in line for line in shown), shown


def test_every_rule_is_claimed_by_one_check() -> None:
    claimed = [rule for check in checks.CHECKS for rule in check.RULES]

    assert sorted(set(claimed) - {"ports"}) == sorted(rule for rule in claimed if rule != "ports")
