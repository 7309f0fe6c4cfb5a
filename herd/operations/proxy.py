"""The proxy's code and environment: each in a directory named by its content, so that a new one
stands beside the old until the job is switched over, and a half-made one is never used."""

import io
from collections.abc import Iterator
from typing import Any

from pyinfra import host
from pyinfra.api import FileUploadCommand, QuoteString, StringCommand

from herd.core.files import written_files
from herd.core.mac.archives import Bundle
from herd.core.mac.job_definitions import PROXY
from herd.core.mac.layout import Layout
from herd.facts.answers import Answers
from herd.facts.files import Entry, State
from herd.facts.gathered import Question
from herd.facts.mac_settings import MacSettings
from herd.facts.proxy import KeyMarks, Releases
from herd.facts.script import script
from herd.operations import launchd
from herd.operations.commands import Commands, operation, shown
from herd.operations.files import is_as_wanted, write
from herd.workstation.api_keys import Shipped, difference
from herd.workstation.certificate_files import Pair


def _releases(layout: Layout, bundle: Bundle) -> Iterator[Question]:
    yield Question(Releases, directory=layout.proxy)


def _keys_ask(layout: Layout, shipped: Any) -> Iterator[Question]:
    yield Question(State, paths=[layout.keys])


def _certificate_asks(layout: Layout, pair: Any, *, uid: int) -> Iterator[Question]:
    yield Question(State, paths=[layout.tls_key, layout.tls_certificate])


@operation(asks=_releases, changes=[Releases, MacSettings])
def installed(layout: Layout, bundle: Bundle) -> Commands:
    """
    Have the proxy's code and its environment.

    + layout: where the stack lives, and its settings
    + bundle: code and locked dependencies
    """
    state = host.get_fact(Releases, directory=layout.proxy)
    release, environment = layout.proxy_release(bundle), layout.proxy_environment(bundle)
    if {release, environment} <= state.whole:
        host.noop("the proxy is installed")
        return
    if release not in state.whole:
        archive = f"{release}.tar.gz"
        yield StringCommand("mkdir -p", QuoteString(layout.proxy))
        yield FileUploadCommand(io.BytesIO(bundle.archive), archive)
        yield script("proxy-release", archive, release)
    if environment not in state.whole:
        requirements = written_files.requirements(layout, bundle)
        yield from write(requirements.path, requirements.content, requirements.mode)
        prefix, python = layout.settings.homebrew_prefix, layout.base_python
        yield shown("proxy-environment", prefix, python, environment, requirements.path)


@operation(asks=_keys_ask, changes=[State, Answers])
def keys(layout: Layout, shipped: Any) -> Commands:
    """
    Keep the config.json of the proxy, and say whose keys come, go or change.

    + layout: where the stack lives
    + shipped: a `herd.workstation.api_keys.Shipped` in a HiddenValue
    """
    want: Shipped = shipped.unmask()
    file = written_files.keys(layout, want.text)
    (entry,) = host.get_fact(State, paths=[file.path])
    if is_as_wanted(entry, file.content, file.mode):
        host.noop("the keys are as wanted")
        return
    if not (host.state.is_executing and host.state.should_check_for_changes()):  # once
        _say_whose_keys_change(file.path, entry, want)
    yield from write(file.path, file.content, file.mode)


def _say_whose_keys_change(path: str, entry: Entry, want: Shipped) -> None:
    there = host.get_fact(KeyMarks, path=path) if entry.kind == "file" else []
    if entry.kind == "file" and not there:
        return
    if words := difference(there, want.marks):
        host.log(f"keys: {words}")


@operation(asks=_certificate_asks, changes=[State, Answers])
def certificate(layout: Layout, pair: Any, *, uid: int) -> Commands:
    """
    Keep the certificate and its key, or neither; a proxy that runs takes a renewed pair at once.

    + layout: where the stack lives
    + pair: a `herd.workstation.certificate_files.Pair` or None, in a HiddenValue
    + uid: whose job the proxy is
    """
    want: Pair | None = pair.unmask()
    paths = [layout.tls_key, layout.tls_certificate]
    entries = host.get_fact(State, paths=paths)
    present = dict(zip(paths, entries, strict=True))
    if want is None:
        if left := [path for path in paths if present[path].kind != "absent"]:
            yield StringCommand("rm -f", *(QuoteString(path) for path in left))
        else:
            host.noop("there is no certificate, as wanted")
        return
    files = written_files.certificate(layout, key=want.key, certificate=want.certificate)
    old = [f for f in files if not is_as_wanted(present[f.path], f.content, f.mode)]
    if not old:
        host.noop("the certificate is as wanted")
        return
    for file in old:
        yield from write(file.path, file.content, file.mode)
    # Without the signal it would look within a minute; it need not run.
    yield launchd.signal(layout.label(PROXY), domain=layout.domain(uid), name="HUP")


@operation(asks=_releases, changes=[Releases])
def only(layout: Layout, bundle: Bundle) -> Commands:
    """
    Remove releases and environments that no job uses any more, nor one that could be put back.

    + layout: where the stack lives, and its settings
    + bundle: the code and dependencies that stay
    """
    state = host.get_fact(Releases, directory=layout.proxy)
    keep = {layout.proxy_release(bundle), layout.proxy_environment(bundle)}
    old = sorted((state.whole | state.junk) - keep - state.kept)
    if not old:
        host.noop("there are no old releases")
        return
    yield StringCommand("rm -rf", *(QuoteString(path) for path in old))
