"""The launchd jobs of a stack, as property lists in plain data."""

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

from herd.core.mac.archives import Bundle
from herd.core.mac.launchd import with_digest
from herd.core.mac.layout import Layout
from herd.core.settings.schema import Settings

LLAMA_SWAP = "llama-swap"
PROXY = "proxy"
JOBS = (LLAMA_SWAP, PROXY)
GATEWAY = "gateway"
GATEWAY_PROXY = "gateway-proxy"
GATEWAY_JOBS = (GATEWAY, GATEWAY_PROXY)
"""Of a gateway of the herd: HAProxy, and the auth proxy before it."""

EXIT_TIMEOUT = {LLAMA_SWAP: 90, PROXY: 10, GATEWAY: 10, GATEWAY_PROXY: 10}
"""Seconds from SIGTERM to SIGKILL. launchd's own are 5, too short for llama-swap to stop a large
model (its own limit is 30 s), and wired memory of one that is killed can stay lost until the Mac
restarts; and for the proxy to let streams finish."""


_LOGS = ("StandardOutPath", "StandardErrorPath")

# The environment is the only place where llama-swap and llama-server both find their key, and that
# of a process is seen by its user and root alone; a property list's is for everybody.
KEY_VARIABLE = "LLAMA_API_KEY"
_WITH_KEY = f'{KEY_VARIABLE}=$(cat "$0") && export {KEY_VARIABLE} && exec "$@"'

# At the Mac's start all jobs begin at once, and llama-server reads the GPU's limit only when it
# starts. One that does not come is no reason to serve nothing.
_AT_LIMIT = (
    'n=0; until [ "$(sysctl -n iogpu.wired_limit_mb)" = {limit} ] || [ $n -ge 120 ]; '
    "do sleep 1; n=$((n+1)); done; "
)


def llama_swap_command(layout: Layout) -> list[str]:
    """The command line of llama-swap, which only this Mac can reach, and with its key only."""
    settings = layout.settings
    limit = settings.mac_gpu_wired_limit_mb
    first = "" if limit is None else _AT_LIMIT.format(limit=limit)
    with_key = ["/bin/sh", "-c", first + _WITH_KEY, layout.swap_key]
    watch = ["--watch-config"] if settings.llama_swap_watch_config else []
    listen = f"127.0.0.1:{settings.llama_swap_port}"
    command = [layout.program("llama-swap"), "--config", layout.config, "--listen", listen, *watch]
    return [*with_key, *command]


def proxy_command(layout: Layout, python: str) -> list[str]:
    """The command line of the proxy, on the interpreter of its environment."""
    settings = layout.settings
    host = f"[{settings.proxy_host}]" if ":" in settings.proxy_host else settings.proxy_host
    # It reads a renewed pair by itself, so nothing of the files' content belongs to the job.
    pair = ["--tls-cert", layout.tls_certificate, "--tls-key", layout.tls_key]
    agent = ["--agent", f"{host}:{settings.proxy_agent_port}"]
    agent += ["--token-deadline", str(settings.proxy_token_deadline)]
    return [
        *(python, "-m", "proxy", "serve"),
        *("--config", layout.keys),
        *("--listen", f"{host}:{settings.proxy_port}"),
        *("--upstream", f"http://127.0.0.1:{settings.llama_swap_port}"),
        *("--upstream-key-file", layout.swap_key),
        *("--usage", layout.usage),
        *("--files", layout.models, "--grants", layout.peers, "--gateways", layout.gateways),
        # launchd rotates nothing, and llama-swap neither; the proxy keeps both logs small.
        *(word for job in JOBS for word in ("--log-file", layout.log(job))),
        *("--log-max-mb", f"{settings.proxy_log_max_mb}"),
        *("--logs-kept", f"{settings.proxy_logs_kept}"),
        *(pair if settings.proxy_tls_certificate else ()),
        *(agent if settings.proxy_agent_port else ()),
    ]


def proxy_trial(layout: Layout, python: str) -> list[str]:
    """What of that command line decides whether it comes up, and touches nothing of the one that
    runs; without `-m proxy serve` and its address."""
    words = proxy_command(layout, python)
    kept = ("--config", "--upstream", "--upstream-key-file", "--tls-cert", "--tls-key")
    return [word for pair in pairwise(words) if pair[0] in kept for word in pair]


def gateway_command(layout: Layout) -> list[str]:
    """The command line of HAProxy: a master that on SIGUSR2 becomes the program that its path leads
    to, reads its configuration again, and lets a process that serves end what it has begun
    (management.txt, 4)."""
    return [layout.brew("haproxy"), "-W", "-db", "-f", layout.of_gateway("haproxy.cfg")]


def gateway_proxy_command(layout: Layout, python: str) -> list[str]:
    """The command line of the proxy before HAProxy, which has the keys, limits and books of all."""
    settings = layout.settings
    host = f"[{settings.proxy_host}]" if ":" in settings.proxy_host else settings.proxy_host
    pair = ["--tls-cert", layout.tls_certificate, "--tls-key", layout.tls_key]
    return [
        *(python, "-m", "proxy", "serve", "--gateway"),
        *("--config", layout.keys),
        *("--listen", f"{host}:{settings.gateway_port}"),
        *("--upstream", f"http://127.0.0.1:{settings.gateway_haproxy_port}"),
        *("--upstream-key-file", layout.gateway_key),
        *("--usage", layout.of_gateway("usage.db")),
        *("--availability", layout.gateway_availability),
        *_shared_limits(layout),
        *(word for job in GATEWAY_JOBS for word in ("--log-file", layout.log(job))),
        *("--log-max-mb", f"{settings.proxy_log_max_mb}"),
        *("--logs-kept", f"{settings.proxy_logs_kept}"),
        *(pair if settings.proxy_tls_certificate else ()),
    ]


def _shared_limits(layout: Layout) -> list[str]:
    """What a gateway needs that is not the only one; who they are, it reads by itself."""
    gateway = layout.gateway
    if gateway is None or not gateway.others:
        return []
    vouched = ["--gateway-authorities", layout.of_gateway("authorities.pem")]
    return ["--other-gateways", layout.other_gateways, *(vouched if gateway.vouched else ())]


ALL_JOBS = (*JOBS, *GATEWAY_JOBS)


def jobs_of(layout: Layout) -> tuple[str, ...]:
    """The jobs of a host, in the order in which they are started."""
    own = JOBS if layout.settings.serves else ()
    return (*own, *GATEWAY_JOBS) if layout.gateway else own


def listens_on(settings: Settings) -> dict[str, int]:
    """The port of each job; llama-swap's models have others beside its own."""
    return {
        LLAMA_SWAP: settings.llama_swap_port,
        PROXY: settings.proxy_port,
        GATEWAY: settings.gateway_haproxy_port,
        GATEWAY_PROXY: settings.gateway_port,
    }


def programs(layout: Layout) -> dict[str, list[str]]:
    """What each job runs that comes from elsewhere: another version of it restarts the job. (Not
    HAProxy's, which it takes over as it does a configuration.)"""
    python = layout.base_python.rpartition("/")[2]
    every = {
        LLAMA_SWAP: ["llama-swap", "llama-server"],
        PROXY: [python],
        GATEWAY: [],
        GATEWAY_PROXY: [python],
    }
    return {job: every[job] for job in jobs_of(layout)}


def depends_on(
    layout: Layout, job: str, *, bundle: Bundle, linked: Mapping[str, str], config: str
) -> dict[str, str]:
    """What a job runs and reads at its start, beyond its definition.

    `linked` has the versions of its `programs`, `config` is the SHA-256 of config.yaml.
    """
    if job in (PROXY, GATEWAY_PROXY):
        return {**linked, "release": bundle.release, "lock": bundle.lock}
    if job == GATEWAY or layout.settings.llama_swap_watch_config:
        return dict(linked)
    return {**linked, "config.yaml": config}


def definition(
    layout: Layout, job: str, *, bundle: Bundle, depends_on: Mapping[str, str]
) -> dict[str, Any]:
    """The property list of one job (launchd.plist(5)) of the user's session.

    `bundle` is the proxy's code; a change in `depends_on` (versions, contents) restarts the job.
    """
    environment = {"PATH": layout.path, **_environment(layout, job, bundle)}
    return with_digest(_keys(layout, job, _command(layout, job, bundle), environment), depends_on)


def daemon(layout: Layout, job: str) -> dict[str, Any]:
    """The property list of one job of the system, which runs as the user.

    It is root's, and the same whatever changes on the Mac: so root need not write it again, nor a
    user be able to choose what root writes. What it runs is the user's (`launcher`).
    """
    environment = {
        # launchd may leave these out of a daemon's.
        "HOME": layout.home,
        "USER": layout.account,
        "LOGNAME": layout.account,
        "PATH": layout.path,
        "TMPDIR": f"{layout.temporary}/",
    }
    keys = _keys(layout, job, ["/bin/sh", layout.launcher(job)], environment)
    # It opens its log itself: launchd might as root, wherever a link of that name leads.
    of_user = {key: value for key, value in keys.items() if key not in _LOGS}
    return with_digest({"UserName": layout.account, **of_user}, {})


def launcher(layout: Layout, job: str, bundle: Bundle) -> dict[str, Any]:
    """What a daemon runs, in the words of templates/daemon.sh.j2: its command, its own environment,
    and the program that knows what there is to compute on."""
    return {
        "label": layout.label(job),
        "environment": _environment(layout, job, bundle),
        "command": _command(layout, job, bundle),
        "log": layout.log(job),
        "server": layout.program("llama-server") if job == LLAMA_SWAP else "",
        "started": layout.started(job),
    }


def _command(layout: Layout, job: str, bundle: Bundle) -> list[str]:
    commands = {
        LLAMA_SWAP: llama_swap_command(layout),
        PROXY: proxy_command(layout, layout.proxy_python(bundle)),
        GATEWAY: gateway_command(layout),
        GATEWAY_PROXY: gateway_proxy_command(layout, layout.proxy_python(bundle)),
    }
    return commands[job]


def _environment(layout: Layout, job: str, bundle: Bundle) -> dict[str, str]:
    if job not in (PROXY, GATEWAY_PROXY):
        return {}
    return {
        "PYTHONPATH": layout.proxy_release(bundle),
        "PYTHONUNBUFFERED": "1",
        # Python would look in the working directory first, where somebody's proxy.py may be.
        "PYTHONSAFEPATH": "1",
    }


def _keys(
    layout: Layout, job: str, command: list[str], environment: Mapping[str, str]
) -> dict[str, Any]:
    always = layout.settings.launchd_autostart == "background"
    return {
        "Label": layout.label(job),
        "ProgramArguments": command,
        "WorkingDirectory": layout.root,
        "EnvironmentVariables": environment,
        "StandardOutPath": layout.log(job),
        "StandardErrorPath": layout.log(job),
        "RunAtLoad": always,
        "KeepAlive": always,
        "ExitTimeOut": EXIT_TIMEOUT[job],
        # Background would cost Metal most of its speed; unset is throttled, too.
        "ProcessType": "Interactive",
        # launchd's soft limit is 256 files; a stream takes two.
        "SoftResourceLimits": {"NumberOfFiles": 16384},
        # What a program writes itself is for the owner only. launchd wants decimal.
        "Umask": 0o077,
    }


def window(
    layout: Layout, *, depends_on: Mapping[str, Mapping[str, str]], start_command: str
) -> dict[str, Any]:
    """The job that opens the stack in a Terminal window at login; Ctrl+C there stops it.

    `depends_on` is that of each job, as the window runs them all; `start_command` is the text of
    what it runs, which has their arguments.
    """
    everything = {
        f"{name}: {key}": value for name, own in depends_on.items() for key, value in own.items()
    }
    return with_digest(
        {
            "Label": layout.label(LLAMA_SWAP),
            "ProgramArguments": ["/usr/bin/open", "-a", "Terminal", layout.start_command],
            "EnvironmentVariables": {"PATH": layout.path},
            "RunAtLoad": True,
        },
        {**everything, "start.command": start_command},
    )
