"""Asks one other gateway, again and again, what it let in."""

import asyncio
import logging
import ssl
import time
from collections.abc import Callable
from pathlib import Path

import aiohttp

from proxy.gateways.message import read, target
from proxy.keys.key import Limits
from proxy.keys.shared_limits import SharedMeters

_log = logging.getLogger("proxy.gateways")

PAUSE_SECONDS = 0.02
"""Between an answer and the next question: what changes meanwhile comes in one."""
CONNECT_SECONDS = 2.0
ANSWER_SECONDS = 5.0
"""For an answer, which comes within `answering.HOLD_SECONDS` where somebody is."""
AGAIN_SECONDS = 1.0
"""After which one that did not answer is asked again."""
NONSENSE_SECONDS = 30.0
"""The same of one whose answer was none: it is another program, or another version."""
LONGEST = 4 * 2**20
"""Bytes of an answer: those of some thirty thousand keys."""


class Unheard(Exception):
    """Why there is no answer."""


class Nonsense(Unheard):
    """There is one, and it is none of a gateway of ours."""


class Asking:
    """One other gateway, by the name of its key."""

    def __init__(
        self, name: str, url: str, key: Path, trusted: Callable[[], ssl.SSLContext],
        meters: SharedMeters, limits: Callable[[str], Limits | None], clock: Callable[[], float],
    ) -> None:  # fmt: skip
        self.name = name
        self.url = url
        self.heard = False
        self._key = key
        self._trusted = trusted
        self._meters = meters
        self._limits = limits
        self._clock = clock
        self._said: set[str] = set()  # why it is not heard

    async def run(self) -> None:
        """Until it is cancelled."""
        while True:
            try:
                async with self._session() as session:
                    while True:
                        await self._ask(session)
                        self._is_heard()
                        await asyncio.sleep(PAUSE_SECONDS)
            except Unheard as why:
                self._is_unheard(str(why))
                again = NONSENSE_SECONDS if isinstance(why, Nonsense) else AGAIN_SECONDS
            finally:
                self._meters.unhear(self.name)
            await asyncio.sleep(again)

    def _is_heard(self) -> None:
        if not self.heard:
            _log.info("%s is heard: a key's limits hold for both together", self.name)
        self.heard = True
        self._said.clear()

    def _is_unheard(self, why: str) -> None:
        if why not in self._said:
            _log.warning("%s is not heard, so a key's limits hold at each: %s", self.name, why)
        self.heard = False
        self._said.add(why)

    def _session(self) -> aiohttp.ClientSession:
        """One connection, which shows this gateway's key."""
        try:
            key = self._key.read_text(encoding="ascii").strip()
            trusted = self._trusted() if self.url.startswith("https:") else True
        except (OSError, ValueError) as error:  # of TLS' library, too
            raise Unheard(f"no key, or nobody to vouch: {type(error).__name__}") from None
        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=1, ssl=trusted),
            timeout=aiohttp.ClientTimeout(ANSWER_SECONDS, connect=CONNECT_SECONDS),
            cookie_jar=aiohttp.DummyCookieJar(),
            headers={"Authorization": f"Bearer {key}"},
            auto_decompress=False,
        )

    async def _ask(self, session: aiohttp.ClientSession) -> None:
        url = self.url + target(self._meters.ask(self.name))
        try:
            async with session.get(url, allow_redirects=False) as response:
                if response.status != 200:
                    raise Unheard(_WORDS.get(response.status, f"it answers {response.status}"))
                if (response.content_length or LONGEST + 1) > LONGEST:
                    raise Nonsense("its answer is none")
                answer = read(await response.read())
        except aiohttp.ClientConnectorCertificateError:
            raise Unheard("its certificate is none that is believed") from None
        except TimeoutError:
            raise Unheard("it does not answer") from None
        except aiohttp.ClientConnectorError as error:
            raise Unheard(error.os_error.strerror or "it cannot be reached") from None
        except aiohttp.ServerDisconnectedError:
            raise Unheard("it ended the connection") from None
        except (ValueError, aiohttp.ClientPayloadError, aiohttp.ClientResponseError):
            raise Nonsense("its answer is none") from None
        except (aiohttp.ClientError, OSError) as error:
            raise Unheard(f"it cannot be asked ({type(error).__name__})") from None
        if answer.now.epoch == self._meters.now.epoch:
            raise Nonsense("its address leads to this gateway itself")
        self._meters.hear(
            self.name, answer.now, answer.told, self._limits, self._clock(), time.time()
        )


_WORDS = {
    401: "it does not know the key of this gateway",
    404: "it shares no limits",
    503: "it is being restarted",
}
