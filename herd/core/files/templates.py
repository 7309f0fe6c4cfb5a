"""Renders templates/: every value goes in through the filter for the format that it lands in."""

import plistlib
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from herd.core.gateway.fleet import Gateway
from herd.core.mac import command_line, job_definitions
from herd.core.mac.archives import Bundle
from herd.core.mac.layout import Layout
from herd.core.mac.llama_server_flags import Flags
from herd.core.models.missing_files import Resolved
from herd.core.settings.schema import Settings
from herd.core.text.quoting import haproxy_quote, shell_quote, xml_quote, yaml_quote

_TEMPLATES = Path(__file__).parents[3] / "templates"


# What each template is given, whichever of its branches it takes.
VARIABLES = {
    "haproxy.cfg.j2": {"gateway"},
    "config.yaml.j2": {"settings", "models", "preload", "groups", "matrix"},
    "daemon.sh.j2": {"label", "environment", "log", "command", "server", "started", "digest"},
    "plist.j2": {"definition"},
    "start.command.j2": {
        "launchctl",
        "domain",
        "labels",
        "layout",
        "python_path",
        "llama_swap",
        "proxy",
    },
}


@cache
def environment() -> Environment:
    """Templates in which an unknown variable is an error, and values have filters."""
    made = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,
    )
    made.filters.update(
        sh=shell_quote, yaml=yaml_quote, xml=xml_quote, haproxy=haproxy_quote, json=yaml_quote
    )
    return made


def render(template: str, **values: Any) -> str:
    """The text of a template in templates/; an unknown variable is an error."""
    if unknown := values.keys() - VARIABLES[template]:
        raise ValueError(f"VARIABLES has no {sorted(unknown)} of {template}")
    return environment().get_template(template).render(values)


def config(
    layout: Layout, files: Iterable[Resolved], flags: Flags, *, preload: Iterable[str]
) -> str:
    """llama-swap's config.yaml; `files` has those of each model."""
    settings: Settings = layout.settings
    of = {each.name: each for each in files}
    models = [
        {
            "name": model.name,
            "version": of[model.name].version,
            "program": layout.program("llama-server"),
            "arguments": command_line.arguments(layout, model, of[model.name], flags),
            "ttl": model.ttl,
            "aliases": model.aliases,
            "options": model.entry(model.parallel),
        }
        for model in settings.models.values()
    ]
    groups = {name: group.model_dump() for name, group in settings.llama_swap_groups.items()}
    matrix = settings.llama_swap_matrix
    return render(
        "config.yaml.j2",
        settings=settings,
        models=models,
        preload=list(preload),
        groups=groups,
        matrix=matrix and {key: value for key, value in matrix.model_dump().items() if value},
    )


def start_command(layout: Layout, bundle: Bundle, uid: int) -> str:
    """The script that runs the stack in the foreground of a terminal."""
    # The job that opens it in a window may have a process still, and is not to be ended.
    window = job_definitions.LLAMA_SWAP if layout.settings.launchd_autostart == "terminal" else None
    return render(
        "start.command.j2",
        # In a terminal sudo may ask for a password.
        launchctl="sudo /bin/launchctl" if layout.is_daemon else "launchctl",
        domain=layout.domain(uid).name,
        labels=[layout.label(job) for job in job_definitions.JOBS if job != window],
        layout=layout,
        python_path=layout.proxy_release(bundle),
        llama_swap=job_definitions.llama_swap_command(layout),
        proxy=job_definitions.proxy_command(layout, layout.proxy_python(bundle)),
    )


def haproxy(gateway: Gateway) -> str:
    """HAProxy's configuration; one text serves every version from 2.8 on."""
    return render("haproxy.cfg.j2", gateway=gateway)


def launcher(layout: Layout, bundle: Bundle, job: str, digest: str) -> str:
    """What a daemon's property list runs; `digest` is what it notes at its start."""
    words = job_definitions.launcher(layout, job, bundle)
    return render("daemon.sh.j2", **words, digest=digest)


def plist(definition: Mapping[str, Any]) -> str:
    """The property list of a launchd job, from plain data; keys are those of launchd.plist(5)."""
    text = render("plist.j2", definition=definition)
    if plistlib.loads(text.encode()) != definition:
        raise ValueError(f"the property list does not carry its values: {definition}")
    return text
