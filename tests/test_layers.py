"""The layers of the project hold, and its settings are all there."""

import ast
import io
import re
import socket
import subprocess
import sys
import tokenize
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import herd
import proxy
from herd.core.settings import cross_checks
from herd.core.settings.cross_checks import Declared
from herd.core.settings.precedence import Layer
from herd.core.settings.schema import Settings, model_fields
from tests.core.samples import ALL, ROOT, defaults

# The map in herd/__init__.py, from the top: each layer may import those below it, and itself.
MAP = [
    [name.strip() for name in row[1].split(",")]
    for row in re.finditer(r"^    (\w+(?:, \w+)*)  ", herd.__doc__ or "", re.MULTILINE)
]
LAYERS = {
    name: {below for row in MAP[number + 1 :] for below in row} | {name}
    for number, names in enumerate(MAP)
    for name in names
}
# What is shared of the proxy: what a key is, how one is made, and what a certificate must be.
LAYERS["workstation"].add("proxy")
# And of the fetcher, what a file may be called, and how long the Hub wants to be left alone.
for shared in ("core", "plan", "workstation"):
    LAYERS[shared].add("fetcher")
FILES = sorted((ROOT / "herd").rglob("*.py"))


def imports(file: Path) -> Iterator[str]:
    """Every module that a file imports, wherever in it."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: a relative import"
            assert node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def layer(module: str) -> str:
    """The layer of one of our modules ("herd.core.text.quoting" is of "core")."""
    return module.split(".")[1] if module.startswith("herd.") else module.split(".")[0]


def name(file: Path) -> str:
    return ".".join(file.relative_to(ROOT).with_suffix("").parts)


OURS = (
    "herd",
    "proxy",
    "fetcher",
    "lab",
    "tests",
    "deploy",
    "rollback",
    "config",
    "inventory",
    "group_data",
)


@pytest.mark.parametrize("file", FILES, ids=name)
def test_a_module_imports_only_layers_below_its_own(file: Path) -> None:
    mine = layer(name(file))
    ours = {layer(module) for module in imports(file) if module.split(".")[0] in OURS}

    assert ours <= LAYERS.get(mine, set()), name(file)


def test_the_map_has_every_layer_and_no_other() -> None:
    assert {layer(name(file)) for file in FILES} - {"__init__"} == set(LAYERS)


@pytest.mark.parametrize("file", sorted((ROOT / "herd" / "core").rglob("*.py")), ids=name)
def test_the_core_knows_no_pyinfra_and_no_network(file: Path) -> None:
    outside = {module.split(".")[0] for module in imports(file)}

    assert not outside & {
        *("pyinfra", "pyinfra_cli", "huggingface_hub", "gevent", "paramiko"),
        *("socket", "subprocess", "http", "urllib3", "requests", "os"),
    }


@pytest.mark.parametrize("file", sorted((ROOT / "proxy").rglob("*.py")), ids=name)
def test_the_proxy_is_a_program_of_its_own(file: Path) -> None:
    """It needs what its own requirements name: its environment on a Mac has nothing else."""
    outside = {module.split(".")[0] for module in imports(file)}

    theirs = {"aiohttp", "multidict", "backports", "prometheus_client", "uvloop", "yarl", "proxy"}
    theirs |= {"compression"}  # of the standard library since 3.14
    assert outside <= theirs | sys.stdlib_module_names


def test_no_module_of_the_proxy_imports_in_a_circle() -> None:
    """Nor for types: what a module needs of one that imports it is a protocol."""
    files = {name(file): file for file in (ROOT / "proxy").rglob("*.py")}
    needs = {
        module: {found for found in files for said in imported if _is_of(said, found)}
        for module, imported in ((module, list(imports(file))) for module, file in files.items())
    }
    while free := {module for module, needed in needs.items() if not needed}:
        needs = {module: needed - free for module, needed in needs.items() if module not in free}

    assert needs == {}


def _is_of(said: str, module: str) -> bool:
    """Whether an import, with the name it takes, is of this module."""
    return said == module or said.rpartition(".")[0] == module


# The order of the core's folders, and of the proxy's as proxy/__init__.py says it.
CORE = ["live", "files", "linux", "mac", "gateway", "models", "settings", "text", "scripts", "roll"]
PROXY = [
    name
    for row in re.findall(r"^    (\w+(?:, \w+)*)(?:  |$)", proxy.__doc__ or "", re.MULTILINE)
    for name in row.split(", ")
]


@pytest.mark.parametrize(("package", "order"), [("proxy", PROXY), ("herd.core", CORE)])
def test_folders_import_those_below_them(package: str, order: list[str]) -> None:
    root = ROOT / package.replace(".", "/")
    rooms = {file.relative_to(root).with_suffix("").parts[0] for file in root.rglob("*.py")}
    assert rooms - {"__init__"} == set(order)

    for file in root.rglob("*.py"):
        room = file.relative_to(root).with_suffix("").parts[0]
        if room == "__init__":
            continue
        for module in imports(file):
            if module.startswith(f"{package}."):
                other = module.removeprefix(f"{package}.").split(".")[0]
                assert order.index(other) >= order.index(room), f"{name(file)}: {module}"


def test_the_engine_knows_no_policy_and_no_keys() -> None:
    for file in (ROOT / "proxy/engine").glob("*.py"):
        rooms = {said.split(".")[1] for said in imports(file) if said.startswith("proxy.")}

        assert rooms <= {"engine", "body", "http", "exchange", "limits"}, name(file)


@pytest.mark.parametrize("package", ["operations", "facts", "core"])
def test_only_deploys_read_host_data(package: str) -> None:
    for file in (ROOT / "herd" / package).rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            read = isinstance(node, ast.Attribute) and node.attr == "data"
            assert not read or not _is_host(node.value), f"{name(file)}:{node.lineno}"


def _is_host(node: ast.expr) -> bool:
    return (isinstance(node, ast.Name) and node.id == "host") or (
        isinstance(node, ast.Attribute) and node.attr == "host"
    )


def calls(file: Path) -> Iterator[ast.Call]:
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Call):
            yield node


@pytest.mark.parametrize("file", sorted((ROOT / "herd" / "deploys").glob("*.py")), ids=name)
def test_every_operation_has_a_constant_name(file: Path) -> None:
    """pyinfra prints the arguments of operations without one, and splits those that vary."""
    modules = {
        alias.asname or alias.name
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.ImportFrom) and node.module == "herd.operations"
        for alias in node.names
    }
    for call in calls(file):
        function = call.func
        if (
            isinstance(function, ast.Attribute)
            and isinstance(function.value, ast.Name)
            and function.value.id in modules
        ):
            named = [k.value for k in call.keywords if k.arg == "name"]
            assert len(named) == 1, f"{name(file)}:{call.lineno}"
            assert isinstance(named[0], ast.Constant), f"{name(file)}:{call.lineno}"


# -- Settings


def test_group_data_has_exactly_the_settings() -> None:
    assert set(defaults()) == {*Settings.model_fields, "model_defaults"}
    assert [key for key in defaults() if key != "model_defaults"] == [*Settings.model_fields]


def test_model_defaults_has_every_field_of_a_model_but_its_repo() -> None:
    assert set(defaults()["model_defaults"]) == model_fields() - {"repo"}


def test_the_defaults_are_valid() -> None:
    found, problems = cross_checks.check([Declared("mac1", [Layer(ALL, defaults())], ("mac1", 22))])

    assert problems == []
    assert list(found) == ["mac1"]


def test_every_setting_has_a_comment() -> None:
    """A comment stands above it; one may speak for settings that follow each other."""
    text = (ROOT / ALL).read_text()
    comments = {
        token.start[0]
        for token in tokenize.generate_tokens(io.StringIO(text).readline)
        if token.type == tokenize.COMMENT and not token.string.startswith("# --")
    }
    lines: dict[str, int] = {}
    for node in ast.parse(text).body:
        if isinstance(node, ast.Assign):
            (target,) = node.targets
            assert isinstance(target, ast.Name)
            lines[target.id] = node.lineno
            if target.id == "model_defaults":
                assert isinstance(node.value, ast.Dict)
                for key in node.value.keys:
                    assert isinstance(key, ast.Constant)
                    lines[f"model_defaults.{key.value}"] = key.lineno
    # Where one comment speaks for two, and where each entry has its own.
    shared = {"model_defaults.cache_type_v", "proxy_port", "model_defaults"}
    bare = {setting for setting, line in lines.items() if line - 1 not in comments}

    assert bare == shared


# -- The process of the tests


def test_tests_do_not_load_what_patches_the_process() -> None:
    """pyinfra_cli replaces sockets and threads of the whole process (gevent); it runs apart."""
    assert "pyinfra_cli" not in sys.modules


def test_sockets_are_those_of_python_at_the_end_of_the_session() -> None:
    """Collected last, as tests/operations/conftest.py says."""
    monkey: Any = sys.modules.get("gevent.monkey")

    assert not (monkey and monkey.is_module_patched("socket"))
    assert socket.socket.__module__ == "socket"


def test_hooks_and_verbs_can_be_imported_in_a_process_of_their_own() -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", "import herd.connections.hooks, herd.__main__"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )

    assert done.returncode == 0, done.stderr
