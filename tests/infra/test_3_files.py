"""Files and directories: content, mode, owner."""

import difflib
from collections.abc import Callable, Iterator

from herd.core.files.written_files import Written
from herd.core.settings.problems import Problem
from herd.facts.models import Models
from herd.facts.proxy import KeyMarks, Releases
from herd.workstation.api_keys import difference
from herd.workstation.typed_commands import command
from tests.infra.declared import directories, secrets, written_paths
from tests.infra.mac import Mac
from tests.infra.report import refuse

DEPLOY = "deploy again: it writes what was declared."
LINES = 20


def asks(mac: Mac) -> None:
    paths = written_paths(mac)
    for path in [*paths, mac.layout.tls_certificate, mac.layout.tls_key]:
        there = mac.host.file(path)
        _ = there.is_file, there.is_symlink, there.exists
    for path in paths:
        there = mac.host.file(path)
        _ = there.content_string, there.user, there.mode
    for path in directories(mac):
        there = mac.host.file(path)
        _ = there.is_directory, there.user, there.mode
    for path in secrets(mac):
        there = mac.host.file(path)
        _ = there.exists, there.user, there.mode
    mac.ask(Releases, directory=mac.layout.proxy)
    _sums(mac, list(_code(mac)))
    mac.ask(Models, directory=mac.layout.models)


def test_files_hold_what_was_declared(
    mac: Mac, files: list[Written], found: Callable[[str], None]
) -> None:
    problems = []
    for file in files:
        there = mac.host.file(file.path)
        if not there.is_file or there.is_symlink:
            problems.append(Problem(f"{mac.name}: {file.path}", "There is no such file.", DEPLOY))
        elif (content := there.content_string) != file.text:
            words = _hidden(mac, file) if file.secret else _difference(file, content)
            problems.append(Problem(f"{mac.name}: {file.path}", words, DEPLOY))
    if not mac.certificate:
        for path in (mac.layout.tls_certificate, mac.layout.tls_key):
            if mac.host.file(path).exists:
                what = "It is there, though no certificate is declared."
                problems.append(Problem(f"{mac.name}: {path}", what, DEPLOY))
    refuse(problems)
    found(f"{len(files)} files")


def _difference(file: Written, content: str) -> str:
    lines = list(
        difflib.unified_diff(
            *(file.text.splitlines(), content.splitlines()),
            *("declared", "on the Mac"),
            lineterm="",
            n=0,
        )
    )
    more = [f"… and {len(lines) - LINES} lines more"] if len(lines) > LINES else []
    return "\n".join(["It holds something else.", *lines[:LINES], *more])


def _hidden(mac: Mac, file: Written) -> str:
    """Of a secret, what may be told: whose keys differ."""
    whose = ""
    if file.path == mac.layout.keys:
        whose = difference(mac.ask(KeyMarks, path=file.path), mac.keys.marks)
    return f"It holds something else{f'; a deploy changes {whose}' if whose else ''}."


def test_files_have_their_modes_and_owners(mac: Mac, files: list[Written]) -> None:
    problems = []
    for file in files:
        there = mac.host.file(file.path)
        if not there.is_file:
            continue  # that is told already
        problems += _wrong_owner(mac, file.path)
        if (mode := f"{there.mode:o}") != file.mode:
            open_to = " Others can read a secret." if file.secret and there.mode & 0o044 else ""
            what = f"Its mode is {mode}, not {file.mode}.{open_to}"
            problems.append(Problem(f"{mac.name}: {file.path}", what, DEPLOY))
    refuse(problems)


def test_directories_belong_to_the_user_and_nobody_else_writes_there(mac: Mac) -> None:
    problems = []
    for path in directories(mac):
        there, where = mac.host.file(path), f"{mac.name}: {path}"
        if not there.is_directory:
            problems.append(Problem(where, "There is no such directory.", DEPLOY))
            continue
        problems += _wrong_owner(mac, path)
        if (mode := there.mode) & 0o022:
            fix = f"`chmod go-w {path}` there."
            problems.append(Problem(where, f"Others can write there: mode {mode:o}.", fix))
    refuse(problems)


def test_logs_and_books_are_for_their_owner_only(mac: Mac) -> None:
    problems = []
    for path in secrets(mac):
        there = mac.host.file(path)
        if not there.exists:
            continue  # nothing has run yet
        problems += _wrong_owner(mac, path)
        if (mode := there.mode) & 0o077:
            what = f"Others can read it: mode {mode:o}. It can tell what people ask."
            problems.append(Problem(f"{mac.name}: {path}", what, DEPLOY))
    refuse(problems)


def _wrong_owner(mac: Mac, path: str) -> Iterator[Problem]:
    if (owner := mac.host.file(path).user) != (user := mac.identity.user):
        fix = f"`sudo chown -R {user} {path}` there."
        yield Problem(f"{mac.name}: {path}", f"It is {owner}'s, not {user}'s.", fix)


def test_code_of_the_proxy_is_that_of_this_toolkit(mac: Mac) -> None:
    layout = mac.layout
    release, environment = layout.proxy_release(mac.bundle), layout.proxy_environment(mac.bundle)
    whole = mac.ask(Releases, directory=layout.proxy).whole
    missing = [
        Problem(f"{mac.name}: {path}", "It is not there, or not whole.", DEPLOY)
        for path in (release, environment)
        if path not in whole
    ]
    refuse(missing)
    wanted = _code(mac)
    there = _sums(mac, list(wanted))
    refuse(
        [
            Problem(
                f"{mac.name}: {path}",
                "It is not as this toolkit has it." if path in there else "There is no such file.",
                f"`rm -r {release}` there, then deploy again.",
            )
            for path, digest in wanted.items()
            if there.get(path) != digest
        ]
    )


def _code(mac: Mac) -> dict[str, str]:
    """The SHA-256 of each file of the proxy, by its path on the Mac."""
    release = mac.layout.proxy_release(mac.bundle)
    return {f"{release}/{name}": digest for name, digest in mac.bundle.sums.items()}


def _sums(mac: Mac, paths: list[str]) -> dict[str, str]:
    words = " ".join(["%s"] * len(paths))
    sums = mac.host.run(f"shasum -a 256 {words} 2>/dev/null", *paths).stdout.splitlines()
    return {path: digest for digest, _, path in (line.partition("  ") for line in sums)}


def test_model_files_are_whole_and_verified(mac: Mac, found: Callable[[str], None]) -> None:
    there = mac.ask(Models, directory=mac.layout.models)
    problems = []
    for model in mac.models:
        for file in model.pending(there):
            path = model.path(file)
            if path not in there.files:
                what = "There is no such file."
            elif (size := there.size(path)) != file.size:
                what = f"It has {size} bytes, not {file.size}."
            elif there.verified(path):
                what = "It is another version than models.lock has."
            else:
                what = "It was never verified, or has changed since."
            fix = f"`{command('verify-models', LIMIT=mac.name)}`."
            problems.append(Problem(f"{mac.name}: {mac.layout.models}/{path}", what, fix))
    refuse(problems)
    found(", ".join(f"{model.name} at {model.commit[:12]}" for model in mac.models))
