"""The proxy's code and environment: made beside the old ones, which go when nothing uses them."""

import hashlib
import json

import pytest

from herd.core.text.quoting import shell_quote
from herd.operations import proxy
from herd.workstation import api_keys
from herd.workstation.certificate_files import Pair
from proxy.keys.key import digest_of
from proxy.keys.keys_file import parse_keys
from tests.core.samples import BUNDLE, layout
from tests.operations.harness import Run, hidden, leaks, run

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


# -- The certificate

KEY, CERTIFICATE = q(PLACE.tls_key), q(PLACE.tls_certificate)
PAIR = Pair("CERTIFICATE", "SECRET KEY")


def certificate(pair: Pair | None, *states: str) -> Run:
    return run(
        proxy.certificate,
        layout=PLACE,
        pair=hidden(pair),
        uid=501,
        answers={"state": states},
    )


def state(content: str, mode: str) -> str:
    return f"file {mode} {hashlib.sha256(content.encode()).hexdigest()}"


def test_a_certificate_that_is_there_or_is_not_wanted_and_not_there_is_no_change() -> None:
    assert certificate(PAIR, state("SECRET KEY", "600"), state("CERTIFICATE", "644")).untouched
    assert certificate(None, "absent", "absent").untouched


def test_a_new_certificate_is_written_after_its_key_and_taken_at_once() -> None:
    found = certificate(PAIR, "absent", "absent")

    moves = [command for command in found.sent if "mv -f" in command]
    assert [command.split()[1] for command in moves] == ["600", "644"]
    assert moves[0].endswith(KEY)
    assert moves[1].endswith(CERTIFICATE)
    last = "launchctl kill SIGHUP gui/501/com.moonspirit.proxy >/dev/null 2>&1 || :"
    assert found.sent[-1] == last
    assert found.uploads == {
        f"{PLACE.tls_key}.new": "SECRET KEY",
        f"{PLACE.tls_certificate}.new": "CERTIFICATE",
    }
    assert leaks(found, "SECRET KEY") == []


def test_a_key_that_others_can_read_is_written_again() -> None:
    found = certificate(PAIR, state("SECRET KEY", "644"), state("CERTIFICATE", "644"))

    assert [*found.uploads] == [f"{PLACE.tls_key}.new"]


def test_a_certificate_that_is_not_wanted_any_more_goes_with_its_key() -> None:
    found = certificate(None, state("SECRET KEY", "600"), state("CERTIFICATE", "644"))

    assert found.sent == [f"rm -f {KEY} {CERTIFICATE}"]


# -- Old releases


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


# -- Keys

PLAIN = "sk-plain-EXAMPLE-0123456789"
HASH = digest_of("sk-ben-EXAMPLE-0123456789").hex()


def shipped(*values: object) -> api_keys.Shipped:
    text = json.dumps({"apiKeys": list(values)}, indent=2) + "\n"
    return api_keys.Shipped(text, parse_keys(text))


def keep(want: api_keys.Shipped, state: str, *marks: str, diff: bool = False) -> Run:
    answers = {"state": state, "key-marks": marks}
    return run(proxy.keys, layout=PLACE, shipped=hidden(want), answers=answers, diff=diff)


def is_told(found: Run, words: str) -> bool:
    return any(line.endswith(words) for line in found.everything)


def test_keys_that_are_as_wanted_are_asked_for_nothing_more() -> None:
    want = shipped(PLAIN)
    sha = hashlib.sha256(want.text.encode()).hexdigest()
    found = keep(want, f"file 600 {sha}  -")

    assert found.untouched
    assert found.asked == [f"state {q(PLACE.keys)}"]
    assert keep(want, f"file 644 {sha}  -").uploads == {f"{PLACE.keys}.new": want.text}


def test_it_is_told_in_words_whose_keys_change() -> None:
    want = shipped(PLAIN, {"name": "ben", "sha256": HASH})
    same = want.marks[0]

    found = keep(want, "file 600 00", " ".join(same), "ben 0000", "carl 0000")

    assert is_told(found, "keys: - carl, changed: ben")
    assert is_told(keep(want, "absent"), "keys: + #1, + ben")
    assert not any("keys: " in line for line in keep(want, "file 600 00").everything)
    assert found.uploads == {f"{PLACE.keys}.new": want.text}


@pytest.mark.parametrize("state", ["absent", "link", "file 644 00", "file 600 00", "directory 700"])
@pytest.mark.parametrize("diff", [True, False])
def test_keys_are_written_for_their_owner_only_and_show_nowhere(state: str, diff: bool) -> None:
    want = shipped(PLAIN, {"name": "ben", "sha256": HASH})
    found = keep(want, state, diff=diff)

    assert any(words.startswith("chmod 600 ") for words in found.sent)
    assert (found.planned, found.changed) == (True, True)
    assert leaks(found, PLAIN) == leaks(found, HASH) == []
