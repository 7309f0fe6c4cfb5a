"""What shows on a Mac that serves badly, or soon will."""

from collections.abc import Iterable

from pyinfra.api import StringCommand

from herd.core.mac import application_firewall, symptoms
from herd.core.mac.archives import bundle
from herd.core.mac.endpoints import local_proxy
from herd.core.mac.job_definitions import jobs_of
from herd.core.mac.layout import Layout
from herd.facts.fact import Fact
from herd.facts.script import script


class Shown(Fact[symptoms.Symptoms]):
    """Asked for `make doctor` only: what it finds is old, rare or not ours."""

    default = symptoms.Symptoms

    def command(self, layout: Layout) -> StringCommand:
        plists = [layout.plist(name) for name in jobs_of(layout)]
        proxy, python = local_proxy(layout.settings), application_firewall.asked(layout)
        release = layout.proxy_release(bundle())
        return script("symptoms", layout.root, proxy, *python, release, *plists)

    def process(self, output: Iterable[str]) -> symptoms.Symptoms:
        return symptoms.parse(output)
