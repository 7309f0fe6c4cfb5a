"""What a person's environment may hold that tests must not see, and that their children must not.

Loopback is reached directly and an index of packages as the person reaches it, so the variables of
proxies stay, and loopback is an exception to them.
"""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Mapping

from lab.mac import NETWORK_NAMES

# What make and the verbs take, and what the programs do that tests run: whole families by prefix.
PREFIXES = (
    *("HERD_", "HF_", "HUGGING", "PYINFRA_", "API_KEYS", "OPENAI_", "ANTHROPIC_", "LLAMA_", "GIT_"),
    *("HOMEBREW_", "LAB_", "PYTHON", "SSH_", "MAKE", "LC_", "LD_LIBRARY_PATH", "DYLD_"),
)
NAMES = (
    *("INVENTORY", "LIMIT", "MODEL", "NAME", "PROMPT", "REPO", "INCLUDE", "MEMORY", "MACOS"),
    *("BASE", "MACS", "ARGS", "MFLAGS", "LANG", "LANGUAGE", "COLUMNS", "LINES", "NO_COLOR"),
    *("FORCE_COLOR", "CLICOLOR", "CLICOLOR_FORCE", "PY_COLORS", "VIRTUAL_ENV", "CURL_HOME"),
    *("BASH_ENV", "ENV", "CDPATH", "SHELLOPTS", "BASHOPTS", "POSIXLY_CORRECT", "GREP_OPTIONS"),
)
# Of these families, what is meant for the tests, leads to an index, or is about files only. Not
# PYTHONDONTWRITEBYTECODE: a thousand processes would compile what the first could write.
KEPT = (
    *("LAB_HAPROXY", "LAB_LLAMA_FIT_PARAMS", "LAB_LLAMA_SERVER", "LAB_LLAMA_SWAP"),
    *("PYTHONPYCACHEPREFIX", *NETWORK_NAMES),
)
LOOPBACK = "127.0.0.1,localhost,::1"


def dropped(environment: Mapping[str, str]) -> list[str]:
    """The names that tests do not get to see, sorted."""
    return sorted(
        name
        for name, value in environment.items()
        if (name not in KEPT and (name.startswith(PREFIXES) or name in NAMES))
        # The clients of the tests have no SOCKS, and refuse to start with it.
        or (name.upper() == "ALL_PROXY" and value.startswith("socks"))
    )


def clean(environment: Mapping[str, str]) -> dict[str, str]:
    """The environment of the tests: nothing of the above, one language, and a direct loopback."""
    away = set(dropped(environment))
    kept = {name: value for name, value in environment.items() if name not in away}
    others = kept.get("no_proxy") or kept.get("NO_PROXY")
    direct = f"{LOOPBACK},{others}" if others else LOOPBACK
    language = "en_US.UTF-8" if sys.platform == "darwin" else "C.UTF-8"
    return kept | {"NO_PROXY": direct, "no_proxy": direct, "LC_ALL": language}


def heed_signals() -> None:
    """What a parent had ignored (nohup, a job in the background) children would ignore, too.

    A handler of ours instead: this process goes on as it was told, and exec forgets it.
    """
    if threading.current_thread() is not threading.main_thread():
        return
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, lambda number, frame: None)
