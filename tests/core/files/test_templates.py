"""Templates carry every value exactly, whatever is in it."""

import json
import os
import plistlib
import re
import shlex
import shutil
import signal
import subprocess
import time
from pathlib import Path
from typing import Any
from xml.parsers.expat import ExpatError

import jsonschema
import pytest
import yaml

from herd.core.files import templates
from herd.core.mac.layout import Layout
from herd.core.mac.llama_server_flags import CURRENT, arguments
from herd.core.settings.schema import Settings
from tests.core.samples import BUNDLE, HOSTILE, ROOT, layout, served, settings

# What may be part of a path: no line, no colon, no slash.
HOSTILE_NAMES = [value.strip() or "x" for value in HOSTILE if "/" not in value and ":" not in value]


def upstream_schema() -> dict[str, Any]:
    """llama-swap's own JSON schema, where it is at hand."""
    named = os.environ.get("LLAMA_SWAP_SCHEMA")
    path = Path(named) if named else ROOT.parent / "shared/llama-swap/config-schema.json"
    if not path.exists():
        pytest.skip("llama-swap's config-schema.json is not here; LLAMA_SWAP_SCHEMA can name it")
    schema: dict[str, Any] = json.loads(path.read_text())
    # It names a dialect by a URL that nothing resolves; the dialect is draft 7.
    schema["$schema"] = "http://json-schema.org/draft-07/schema#"
    return schema


def split(cmd: str) -> list[str]:
    """As llama-swap does: comment lines dropped, macros put in, then POSIX rules."""
    lines = [line for line in cmd.split("\n") if not line.lstrip().startswith("#")]
    return shlex.split("\n".join(lines).replace("${PORT}", "10001"))


def rendered(own: Settings, home: str = "/Users/me", preload: bool = True) -> dict[str, Any]:
    files = served(own)
    place = Layout(own, home)
    text = templates.config(*(place, files, CURRENT), preload=own.preload if preload else [])
    found: dict[str, Any] = yaml.safe_load(text)
    for name, model in own.models.items():
        path = f"{place.model_directory(model)}/{files[0].first}"
        expected = [
            *(place.brew("llama-server"), "--host", "127.0.0.1", "--port", "10001"),
            *(
                word.replace("${PORT}", "10001")
                for line in arguments(model, path, CURRENT)
                for word in line
            ),
        ]
        assert split(found["models"][name]["cmd"]) == expected
    return found


def hostile_settings() -> Settings:
    """Every hostile value wherever text is taken."""
    models: dict[str, Any] = {
        value: {
            "repo": "me/tiny-GGUF",
            "aliases": [f"{value} too"],
            "extra_args": ["--chat-template", value, f"and {value}"],
            "preload": True,
            "ttl": index,
        }
        for index, value in enumerate(HOSTILE)
    }
    groups = {value: {"members": [value], "exclusive": False} for value in HOSTILE}
    return settings(models={"gpt-oss-120b": None, **models}, llama_swap_groups=groups)


def test_hostile_names_aliases_arguments_and_groups_come_through_exactly() -> None:
    found = rendered(hostile_settings())

    assert list(found["models"]) == HOSTILE
    assert [m["aliases"] for m in found["models"].values()] == [[f"{v} too"] for v in HOSTILE]
    assert [m["ttl"] for m in found["models"].values()] == list(range(len(HOSTILE)))
    assert list(found["groups"]) == HOSTILE
    assert [g["members"] for g in found["groups"].values()] == [[v] for v in HOSTILE]
    assert found["hooks"]["on_startup"]["preload"] == HOSTILE


@pytest.mark.parametrize("name", HOSTILE_NAMES)
def test_hostile_paths_come_through_exactly(name: str) -> None:
    rendered(settings(stack_root=f"/Volumes/{name}/llm", homebrew_prefix=f"/opt/{name}"))
    rendered(settings(stack_root=f"~/{name}"), home=f"/Users/{name}")


def test_a_plain_configuration_has_what_llama_swap_needs_and_no_more() -> None:
    found = rendered(settings())

    (model,) = found.pop("models").values()
    assert found == {
        "healthCheckTimeout": 900,
        "startPort": 10001,
        "logLevel": "info",
        "logToStdout": "both",
        "captureBuffer": 0,
        "performance": {"every": "60s"},
        "apiKeys": ["${env.LLAMA_API_KEY}"],
    }
    assert model.pop("cmd")
    assert model == {"proxy": "http://127.0.0.1:${PORT}", "ttl": 0}


def test_a_group_says_all_of_its_rule() -> None:
    found = rendered(settings(llama_swap_groups={"g": {"members": ["gpt-oss-120b"]}}))

    assert found["groups"] == {
        "g": {"members": ["gpt-oss-120b"], "swap": True, "exclusive": True, "persistent": False}
    }


def test_a_trial_preloads_nothing_and_is_otherwise_the_same() -> None:
    own = hostile_settings()
    real, trial = rendered(own), rendered(own, preload=False)

    assert real.pop("hooks")
    assert trial == real


@pytest.mark.parametrize("own", [settings(), hostile_settings()], ids=["plain", "hostile"])
def test_a_rendering_obeys_the_schema_of_llama_swap(own: Settings) -> None:
    jsonschema.Draft7Validator(upstream_schema()).validate(rendered(own))


def test_a_port_and_the_key_are_the_only_macros() -> None:
    """The key is put in by llama-swap itself: what is rendered, compared and shown has none."""
    text = templates.config(*(layout(), served(settings()), CURRENT), preload=[])

    assert set(re.findall(r"\$\{[^}]*\}", text)) == {"${PORT}", "${env.LLAMA_API_KEY}"}


def test_an_unknown_variable_in_a_template_is_an_error() -> None:
    with pytest.raises(Exception, match="undefined"):
        templates.render("config.yaml.j2", models=[])


# -- Property lists


def test_hostile_values_come_through_a_property_list_exactly() -> None:
    definition = {
        "Label": "com.example.job",
        "ProgramArguments": HOSTILE,
        "EnvironmentVariables": {value: value for value in HOSTILE},
        "RunAtLoad": True,
        "KeepAlive": False,
        "ExitTimeOut": 40,
        "Nested": {"a": {"b": [1, True, "x", {"c": []}]}},
    }
    text = templates.plist(definition)

    assert plistlib.loads(text.encode()) == definition
    assert text.startswith('<?xml version="1.0" encoding="UTF-8"?>\n<!DOCTYPE plist PUBLIC')
    assert text.endswith("</plist>\n")


def test_true_and_one_stay_apart_in_a_property_list() -> None:
    found = plistlib.loads(templates.plist({"a": True, "b": 1, "c": False, "d": 0}).encode())

    assert [type(value) for value in found.values()] == [bool, int, bool, int]


def test_a_value_that_a_property_list_cannot_carry_is_an_error() -> None:
    with pytest.raises(ExpatError, match="not well-formed"):
        templates.plist({"Label": "a\x01b"})
    with pytest.raises(ValueError, match="does not carry its values"):
        templates.plist({"Label": "a\rb"})


# -- start.command


@pytest.mark.parametrize("shell", ["sh", "bash", "dash"])
@pytest.mark.parametrize("name", HOSTILE_NAMES)
def test_a_foreground_start_is_sh_and_quotes_hostile_paths(name: str, shell: str) -> None:
    place = layout(f"/Users/{name}", homebrew_prefix=f"/opt/{name}")
    text = templates.start_command(place, BUNDLE, 501)
    try:
        done = subprocess.run([shell, "-n"], input=text, text=True, capture_output=True)
    except FileNotFoundError:
        pytest.skip(f"there is no {shell} here")

    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("shell", [["dash"], ["bash", "--posix"]], ids=" ".join)
@pytest.mark.parametrize("how", ["SIGTERM", "SIGHUP", "one ends"])
def test_a_foreground_start_ends_as_one_without_looking(
    how: str, shell: list[str], tmp_path: Path
) -> None:
    """Whoever ends says so: a loop that sleeps would start a program each second for ever."""
    if not shutil.which(shell[0]):
        pytest.skip(f"there is no {shell[0]} here")
    place = layout(str(tmp_path / "home"), homebrew_prefix=str(tmp_path / "brew"))
    for program in (place.brew("llama-swap"), place.proxy_python(BUNDLE), place.brew("launchctl")):
        Path(program).parent.mkdir(parents=True, exist_ok=True)
        Path(program).write_text(
            "#!/bin/sh\n"
            "case $0 in *launchctl) exit 113 ;; esac\n"
            f"echo $$ >{tmp_path}/${{0##*/}}.new && mv {tmp_path}/${{0##*/}}.new "
            f"{tmp_path}/${{0##*/}}.pid\n"
            "exec tail -f /dev/null\n"
        )
        Path(program).chmod(0o755)
    Path(place.swap_key).write_text("the key")
    text = templates.start_command(place, BUNDLE, 501)
    # Its own ports are other tests' business.
    text = re.sub(r"^curl .*$", "(exit 7)", text, flags=re.MULTILINE)
    running = subprocess.Popen([*shell, "-c", text], stdout=subprocess.PIPE, text=True)
    pids = []
    for name in ("llama-swap", "python"):
        while not (path := tmp_path / f"{name}.pid").exists():
            assert running.poll() is None
            time.sleep(0.02)
        pids.append(int(path.read_text()))
    if how == "one ends":
        os.kill(pids[1], signal.SIGKILL)
    else:
        running.send_signal(signal.Signals[how])
    out, _ = running.communicate(timeout=20)

    assert running.returncode == (1 if how == "one ends" else 0)
    assert out == "Stopping llama-swap and the proxy.\n"
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


@pytest.mark.parametrize(
    ("autostart", "ended"), [("background", ["llama-swap", "proxy"]), ("terminal", ["proxy"])]
)
def test_a_foreground_start_does_not_end_the_job_that_opens_it(
    autostart: str, ended: list[str], tmp_path: Path
) -> None:
    """`open` may run on while Terminal runs what it opened: without its job, the next deploy would
    take what serves for a stranger."""
    place = layout(
        str(tmp_path / "home"), homebrew_prefix=str(tmp_path / "brew"), launchd_autostart=autostart
    )
    launchctl = Path(place.brew("launchctl"))
    launchctl.parent.mkdir(parents=True)
    launchctl.write_text(
        "#!/bin/sh\n"
        f"job={tmp_path}/${{2##*.}}\n"
        'case $1 in print) [ ! -e "$job" ] && printf "\\tpid = 4242\\n" ;; *) : >"$job" ;; esac\n'
    )
    launchctl.chmod(0o755)
    Path(place.root).mkdir(parents=True)
    text = templates.start_command(place, BUNDLE, 501)
    # As if the ports were taken: no more of it is run.
    text = re.sub(r"^curl .*$", "(exit 0)", text, flags=re.MULTILINE)

    done = subprocess.run(["sh", "-c", text], capture_output=True, text=True, timeout=20)

    assert done.returncode == 1, done.stderr
    assert "is taken" in done.stdout
    assert [name for name in ("llama-swap", "proxy") if (tmp_path / name).exists()] == ended


def test_a_foreground_start_runs_both_programs_with_their_exact_arguments(tmp_path: Path) -> None:
    """The script is run, with small programs in place of llama-swap and the proxy's Python."""
    home = tmp_path / 'it\'s "my" $HOME & <b> # ü'
    prefix = tmp_path / "brew $(id)"
    place = layout(str(home), homebrew_prefix=str(prefix))
    for program in (place.brew("llama-swap"), place.proxy_python(BUNDLE), place.brew("launchctl")):
        Path(program).parent.mkdir(parents=True, exist_ok=True)
        Path(program).write_text(
            "#!/bin/sh\n"
            "case $0 in *launchctl) exit 113 ;; esac\n"
            f'{{ pwd; echo "$PYTHONPATH$LLAMA_API_KEY"; printf "%s\\n" "$@"; }}'
            f' >"{tmp_path}/${{0##*/}}.said"\n'
            # When one ends the other is stopped, be it through with this or not.
            f'until [ -s "{tmp_path}/llama-swap.said" ] && [ -s "{tmp_path}/python.said" ]\n'
            "do sleep 0.05; done\n"
        )
        Path(program).chmod(0o755)
    Path(place.swap_key).write_text("the key\n")
    text = templates.start_command(place, BUNDLE, 501)
    done = subprocess.run(["sh", "-c", text], capture_output=True, text=True, timeout=20)

    # Both ended by themselves, which is a failure of theirs.
    assert done.returncode == 1, done.stderr
    swap = (tmp_path / "llama-swap.said").read_text().splitlines()
    assert swap == [
        *(place.root, "the key", "--config", place.config, "--listen", "127.0.0.1:8080"),
        "--watch-config",
    ]
    proxy = (tmp_path / "python.said").read_text().splitlines()
    assert proxy[:5] == [place.root, place.proxy_release(BUNDLE), "-m", "proxy", "serve"]
    assert proxy[5:] == [
        *("--config", place.keys, "--listen", "[::]:3000"),
        *("--upstream", "http://127.0.0.1:8080", "--upstream-key-file", place.swap_key),
        *("--usage", place.usage),
        *("--files", place.models, "--grants", place.peers, "--gateways", place.gateways),
        *("--log-file", place.log("llama-swap"), "--log-file", place.log("proxy")),
        *("--log-max-mb", "16", "--logs-kept", "1"),
    ]
