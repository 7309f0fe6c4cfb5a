"""One Mac: testinfra's `host`, and what was declared of it."""

import ipaddress
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, TypeVar

from pyinfra.api import FactBase, State
from pyinfra.api import Host as PyinfraHost
from testinfra.host import Host

from herd import plan
from herd.connections.remote import Remote, hosts, reached
from herd.core.mac.archives import Bundle, bundle
from herd.core.mac.endpoints import public_gateway, public_proxy
from herd.core.mac.job_definitions import jobs_of, listens_on
from herd.core.mac.launchd import Job
from herd.core.mac.layout import Layout
from herd.core.mac.mac import Identity
from herd.core.models.missing_files import Resolved
from herd.core.models.tasks import task_of
from herd.core.settings.schema import Settings
from herd.facts.launchd import Loaded
from herd.facts.listeners import Listeners
from herd.plan import Plan
from herd.workstation import certificate_files
from herd.workstation.api_keys import Held, Shipped
from herd.workstation.certificate_files import Pair
from herd.workstation.herd_directory import directory
from tests.infra.backend import PyinfraBackend

T = TypeVar("T")


@dataclass(frozen=True)
class Mac:
    """A connected Mac. `host` is testinfra's; the rest is the plan that a deploy would follow."""

    remote: Remote
    plan: Plan

    @property
    def name(self) -> str:
        return self.remote.host.name

    @cached_property
    def host(self) -> Host:
        return Host(PyinfraBackend(self.remote.host))

    @property
    def settings(self) -> Settings:
        return self.remote.settings

    @property
    def layout(self) -> Layout:
        return self.remote.layout

    @property
    def identity(self) -> Identity:
        return self.remote.mac

    @property
    def models(self) -> list[Resolved]:
        return self.plan.models[self.name]

    @property
    def served(self) -> list[str]:
        """Models by name: its own; of a gateway that has none, those of the Macs behind it."""
        gateway = self.layout.gateway
        if self.settings.serves or gateway is None:
            return list(self.settings.models)
        return [pool.names[0] for pool in gateway.pools]

    @property
    def does(self) -> dict[str, str]:
        """What each model does."""
        hosts = [self.name] if self.settings.serves else list(self.plan.settings)
        files = {each.name: each for name in hosts for each in self.plan.models[name]}
        return {
            name: task_of(model, files[name])
            for host in hosts
            for name, model in self.plan.settings[host].models.items()
        }

    @property
    def keys(self) -> Shipped:
        return self.plan.keys[self.name]

    @property
    def certificate(self) -> Pair | None:
        return self.plan.certificates[self.name]

    @property
    def shown_certificate(self) -> bytes | None:
        """What its proxy must show over TLS."""
        return certificate_files.shown(self.settings, directory(self.remote.inventory))

    @cached_property
    def held(self) -> Held:
        """The key of whoever asks."""
        return self.keys.held()

    @property
    def bundle(self) -> Bundle:
        return bundle()

    @property
    def url(self) -> str:
        """Its endpoint, as clients reach it."""
        found = public_proxy if self.settings.serves else public_gateway
        return found(self.settings, self.remote.address)

    @property
    def is_here(self) -> bool:
        """Whether the inventory reaches it by loopback, so that nothing is outside of it."""
        found = socket.getaddrinfo(self.remote.address, None, type=socket.SOCK_STREAM)
        return any(ipaddress.ip_address(each[4][0]).is_loopback for each in found)

    def ask(self, fact: type[FactBase[T]], **arguments: Any) -> T:
        """A fact of ours, its command run by testinfra."""
        asked = fact()
        done = self.host.run(str(asked.command(**arguments).get_raw_value()))
        if done.failed:
            raise RuntimeError(f"{self.name} does not answer {fact.__name__}: {done.stderr}")
        lines = done.stdout.removesuffix("\n").split("\n") if done.stdout else []
        return asked.process(lines) if lines else asked.default()

    @property
    def jobs(self) -> tuple[str, ...]:
        """Those that it should have, in the order in which they are started."""
        return jobs_of(self.layout)

    def loaded(self, job: str) -> Job | None:
        """A job as launchd has it."""
        target = self.layout.domain(self.identity.uid).target(self.layout.label(job))
        return self.ask(Loaded, target=target)

    @cached_property
    def is_stopped(self) -> bool:
        """Whether nothing need run, by the settings, and nothing does."""
        if self.settings.launchd_autostart != "off" or any(map(self._runs, self.jobs)):
            return False
        ports = listens_on(self.settings)
        return not self.ask(Listeners, ports=[ports[name] for name in self.jobs])

    def _runs(self, job: str) -> bool:
        found = self.loaded(job)
        return found is not None and found.pid is not None


@dataclass(frozen=True)
class Fleet:
    """The chosen hosts of an inventory, and the plan of all its hosts; not connected yet.

    `lost` says why a host cannot be asked, by name, once they are.
    """

    state: State
    chosen: list[PyinfraHost]
    plan: Plan
    inventory: str
    lost: dict[str, str] = field(default_factory=dict)

    @classmethod
    def read(cls, inventory: str, limits: Sequence[str]) -> "Fleet":
        """Raises RemoteError or SettingsError, with what is wrong and how to mend it."""
        state, chosen = hosts(inventory, limits)
        return cls(state, chosen, plan.make(state.inventory, inventory), inventory)

    @contextmanager
    def reached(self) -> Iterator[dict[str, Mac]]:
        """Those that answer, by name."""
        with reached(self.state, self.chosen, self.inventory) as found:
            self.lost.update(found.lost)
            yield {remote.host.name: Mac(remote, self.plan) for remote in found.remotes}
