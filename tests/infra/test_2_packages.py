"""Homebrew's packages, or apt's."""

from collections.abc import Callable

from herd.core.mac import job_definitions
from herd.core.mac import packages as core_packages
from herd.core.mac.packages import program_of
from herd.core.settings.problems import Problem
from herd.core.settings.release import version_of
from herd.deploys.packages import formulae_of
from herd.facts.brew import Brew
from herd.facts.linux import Linux
from herd.facts.programs import Linked, Owned
from herd.operations.summary import programs as programs_of
from tests.infra.mac import Mac
from tests.infra.report import refuse


def asks(mac: Mac) -> None:
    if mac.layout.is_linux:
        mac.ask(Linux)
        mac.ask(Linked, links=mac.layout.version_links(programs_of(mac.layout)))
        return
    prefix = mac.settings.homebrew_prefix
    mac.ask(Brew, homebrew_prefix=prefix)
    mac.ask(Linked, links=mac.layout.version_links(programs_of(mac.layout)))
    mac.ask(Owned, homebrew_prefix=prefix, programs=[program_of(name) for name in _short(mac)])
    for programs in job_definitions.programs(mac.layout).values():
        for program in programs:
            _ = mac.host.file(mac.layout.program(program)).is_executable


def _short(mac: Mac) -> list[str]:
    """The formulae by the names that Homebrew has for them when they are installed."""
    return [name.rpartition("/")[2] for name in formulae_of(mac.layout)]


def test_packages_are_installed_and_linked(mac: Mac, found: Callable[[str], None]) -> None:
    if mac.layout.is_linux:
        _are_installed_on_linux(mac)
        found(_versions(mac))
        return
    prefix = mac.settings.homebrew_prefix
    packages = mac.ask(Brew, homebrew_prefix=prefix)
    deploy = "deploy again: it installs what is missing."
    if packages is None:
        refuse([Problem(f"{mac.name}: {prefix}", "There is no Homebrew.", deploy)])
    wanted = formulae_of(mac.layout)
    problems = []
    for formula in wanted:
        where, short = f"{mac.name}: package {formula}", formula.rpartition("/")[2]
        if short not in packages.formulae:
            problems.append(Problem(where, "It is not installed.", deploy))
        elif "/" in formula and not packages.trusts(formula):
            fix = f"deploy again, or `brew trust --formula {formula}` there."
            problems.append(Problem(where, "Its formula is not trusted.", fix))
    shorts = [name for name in _short(mac) if name in packages.formulae]
    programs_wanted = [program_of(name) for name in _short(mac)]
    owned = mac.ask(Owned, homebrew_prefix=prefix, programs=programs_wanted)
    uid = mac.identity.uid
    for each in core_packages.problems(shorts, packages.formulae, owned, prefix=prefix, uid=uid):
        problems.append(Problem(f"{mac.name}: {each.where}", each.what, each.fix))
    for programs in job_definitions.programs(mac.layout).values():
        for program in programs:
            path = mac.layout.program(program)
            if not mac.host.file(path).is_executable:
                where = f"{mac.name}: {path}"
                fix = "deploy again; if it is installed, `brew link` it there."
                problems.append(Problem(where, "There is no such program.", fix))
    refuse(problems)
    found(_versions(mac))


def _versions(mac: Mac) -> str:
    linked = mac.ask(Linked, links=mac.layout.version_links(programs_of(mac.layout)))
    return ", ".join(f"{name} {version_of(each)}" for name, each in linked.items())


def _are_installed_on_linux(mac: Mac) -> None:
    there, deploy = mac.ask(Linux), "deploy again: it installs what is missing."
    problems = [
        Problem(f"{mac.name}: package {name}", "It is not installed.", deploy)
        for name in there.missing
    ]
    if not there.lingers:
        fix = "deploy again, or `loginctl enable-linger` there."
        problems.append(Problem(mac.name, "Its services end with the last login.", fix))
    refuse(problems)
