"""The proxy's code and environment: made beside the old ones, which go when nothing uses them."""

from herd.core.text import shell_quote
from herd.operations import proxy
from tests.core.samples import BUNDLE, layout
from tests.operations.harness import Run, run

PLACE = layout("/Users/my self")
RELEASE, ENVIRONMENT = PLACE.proxy_release(BUNDLE), PLACE.proxy_environment(BUNDLE)


def q(path: str) -> str:
    return shell_quote(path)


def installed(*lines: str) -> Run:
    return run(proxy.installed, layout=PLACE, bundle=BUNDLE, answers={"proxy-state": lines})


def name(path: str) -> str:
    return path.rpartition("/")[2]


UNPACK = [
    f"mkdir -p {q(PLACE.proxy)}",
    f"upload {RELEASE}.tar.gz",
    f"proxy-release {q(RELEASE + '.tar.gz')} {q(RELEASE)}",
]
LOCK = f"{PLACE.proxy}/requirements.lock"
ENVIRON = f"proxy-environment /opt/homebrew /opt/homebrew/bin/python3.13 {q(ENVIRONMENT)} {q(LOCK)}"


def test_nothing_is_sent_when_both_are_whole() -> None:
    assert installed(f"whole {name(RELEASE)}", f"whole {name(ENVIRONMENT)}", "junk x").untouched


def test_a_fresh_host_gets_both() -> None:
    found = installed()

    assert found.sent[:3] == UNPACK
    assert found.sent[-1] == ENVIRON
    assert f"upload {LOCK}.new" in found.sent
    assert found.uploads[f"{LOCK}.new"] == BUNDLE.requirements
    assert found.printed == [ENVIRON]


def test_new_code_keeps_the_environment() -> None:
    assert installed("whole release-old", f"whole {name(ENVIRONMENT)}").sent == UNPACK


def test_new_dependencies_keep_the_code() -> None:
    found = installed(f"whole {name(RELEASE)}", "whole env-3.12-old")

    assert not any("proxy-release" in command for command in found.sent)
    assert found.sent[-1] == ENVIRON


def test_what_a_killed_run_left_half_made_is_made_again() -> None:
    found = installed(f"junk {name(RELEASE)}", f"junk {name(ENVIRONMENT)}")

    assert found.sent[:3] == UNPACK
    assert found.sent[-1] == ENVIRON


def only(*lines: str) -> Run:
    return run(proxy.only, layout=PLACE, bundle=BUNDLE, answers={"proxy-state": lines})


def test_what_is_in_use_stays() -> None:
    assert only(f"whole {name(RELEASE)}", f"whole {name(ENVIRONMENT)}").untouched
    assert only().untouched


def test_what_nothing_uses_goes_at_once() -> None:
    found = only(
        f"whole {name(RELEASE)}", f"whole {name(ENVIRONMENT)}", "whole release-0", "junk a b"
    )

    assert found.sent == [f"rm -rf {q(PLACE.proxy + '/a b')} {q(PLACE.proxy + '/release-0')}"]
