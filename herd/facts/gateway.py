"""What a gateway of the herd answers on its host."""

from collections.abc import Iterable
from dataclasses import dataclass

from pyinfra.api import StringCommand

from herd.core.gateway.servers import Servers, parse
from herd.core.live import proxy_metrics
from herd.core.live.proxy_metrics import ProxyMetrics
from herd.facts.fact import Fact
from herd.facts.script import script


@dataclass(frozen=True)
class GatewayServes:
    """HTTP codes, 0 where nothing answers; `with_key` None when no key was shown."""

    ready: int = 0
    anonymous: int = 0
    with_key: int | None = None

    def complaint(self) -> str | None:
        """What is not as it should be."""
        if self.ready == 0:
            return "the gateway does not answer"
        if self.ready != 200:
            return f"the gateway answers {self.ready} on /readyz: it reaches no Mac that is ready"
        if self.anonymous != 401:
            return f"the gateway answers {self.anonymous} without a key, not 401"
        if self.with_key not in (200, None):
            return f"the gateway answers {self.with_key} to a key, not 200"
        return None


class GatewayAnswers(Fact[GatewayServes]):
    """Of the gateway at an URL, by a key on stdin, if there is one."""

    @staticmethod
    def default() -> GatewayServes:
        return GatewayServes()

    def command(self, url: str) -> StringCommand:
        return script("gateway", url)

    def process(self, output: Iterable[str]) -> GatewayServes:
        return GatewayServes(*(int(line) for line in output if line.strip().isdecimal()))


class GatewayNumbers(Fact[ProxyMetrics | None]):
    """What the proxy before HAProxy counts, asked on its host; None if it does not answer."""

    @staticmethod
    def default() -> None:
        return None

    def command(self, socket: str) -> StringCommand:
        return script("proxy-numbers", socket)

    def process(self, output: Iterable[str]) -> ProxyMetrics | None:
        return proxy_metrics.parse("\n".join(output) + "\n")


class GatewayServers(Fact[Servers]):
    """What HAProxy on this port says of the Macs, to who reads the gateway's key."""

    default = Servers

    def command(self, port: int, key_file: str) -> StringCommand:
        return script("gateway-servers", port, key_file)

    def process(self, output: Iterable[str]) -> Servers:
        return parse(output)
