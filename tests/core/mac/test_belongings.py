"""What in a stack's directory is ours: by its name, and by whether it is a directory."""

import pytest

from herd.core.mac.belongings import Found, others, ours
from herd.core.mac.job_definitions import JOBS
from tests.core.samples import layout


def test_every_file_that_a_layout_names_is_ours() -> None:
    here = layout()
    paths = [here.config, here.keys, here.swap_key, here.peers, here.usage, here.fetcher]
    paths += [here.start_command, here.tls_key, here.tls_certificate, here.last_deploy]
    paths += [of(job) for job in JOBS for of in (here.log, here.launcher, here.started)]
    below = [path.removeprefix(f"{here.root}/") for path in paths]

    assert ours(Found(path) for path in below) == sorted(below)
    assert ours(Found(f"{path}.new") for path in below) == sorted(f"{path}.new" for path in below)


@pytest.mark.parametrize(
    "found",
    [
        Found("config.yaml.bak"),
        Found("config.yaml", is_directory=True),
        Found("my-config.yaml"),
        Found("proxy.ts"),
        Found("node_modules", is_directory=True),
        Found("release-0123456789abcdef", is_directory=True),
        Found("proxy/release-mine", is_directory=True),
        Found("proxy/env-3.13", is_directory=True),
        Found("proxy/config.yaml"),
        Found("answered"),
        Found("releases"),
        Found("last-good.mine", is_directory=True),
        Found("CONFIG.YAML"),
        Found("proxy.log.old"),
        Found("config.yaml\n"),
    ],
    ids=lambda found: found.path,
)
def test_what_only_looks_like_ours_stays_and_is_named(found: Found) -> None:
    assert ours([found]) == []
    assert others([found]) == [f"{found.path}/" if found.is_directory else found.path]


def test_what_a_run_that_was_killed_leaves_is_ours() -> None:
    left = [
        Found("proxy/release-0123456789abcdef.new", is_directory=True),
        Found("proxy/release-0123456789abcdef.tar.gz"),
        Found("proxy/release-0123456789abcdef.tar.gz.new"),
        Found("proxy/env-3.13-0123456789abcdef", is_directory=True),
        Found("config.trial.yaml.new"),
        Found("usage.db-wal"),
        Found("last-good.new", is_directory=True),
    ]

    assert ours(left) == sorted(each.path for each in left)


def test_directories_that_hold_both_are_neither() -> None:
    found = [Found("models", is_directory=True), Found("proxy", is_directory=True)]

    assert ours(found) == others(found) == []
