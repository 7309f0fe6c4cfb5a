"""Another version of a model's files, several models of one run, and files that they share."""

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.fetcher.conftest import Program, files, kept, model, put, spec, wait_for
from tests.fetcher.servers import Hub
from tests.fetcher.test_fetch import ONE, TWO, aside, fetch, receipt

Serve = Callable[[dict[str, bytes]], Hub]


@pytest.fixture
def hub(serve: Serve) -> Hub:
    return serve({ONE: os.urandom(30_000), TWO: os.urandom(50_000)})


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "tiny"


def newer(hub: Hub) -> dict[str, bytes]:
    """The Hub moves on; the names are the same, and so is the size of the first."""
    old = dict(hub.files)
    hub.files.update({ONE: os.urandom(30_000), TWO: os.urandom(60_000)})
    return old


def test_a_new_version_takes_the_place_of_one_that_we_fetched(
    program: Program, hub: Hub, target: Path
) -> None:
    assert fetch(program, hub, target).returncode == 0
    newer(hub)
    done = fetch(program, hub, target)

    assert (done.returncode, done.stderr) == (0, "")
    assert files(target) == hub.files
    assert kept(target) == {f"{name}.receipt" for name in hub.files}
    assert "tiny: the new version has taken the place of the earlier one\n" in done.stdout


def test_the_earlier_version_stays_until_the_new_one_is_whole(
    program: Program, hub: Hub, target: Path
) -> None:
    assert fetch(program, hub, target).returncode == 0
    old = newer(hub)
    document = spec(model(hub, target))
    late = hub.files.pop(TWO)
    failed = program.run(document)
    between = files(target)
    hub.files[TWO] = late
    asked = len(hub.ranges())
    done = program.run(document)

    assert failed.returncode == 1
    assert between.items() >= old.items()
    assert done.returncode == 0, done.stderr
    assert files(target) == hub.files
    # The first one was whole, and is not fetched again.
    assert hub.ranges()[asked:] == ["0-59999"]


def test_a_file_that_is_new_has_its_name_before_the_others_are_whole(
    program: Program, hub: Hub, target: Path
) -> None:
    document = spec(model(hub, target))

    def late(request: Any, content: bytes, start: int) -> None:
        wait_for((target / ONE).exists)
        hub.plain(request, 404)

    hub.faults += [lambda *asked: hub.give(*asked), late]
    done = program.run(document)

    assert done.returncode == 1
    assert files(target).items() >= {ONE: hub.files[ONE]}.items()
    assert receipt(target, ONE)[-1] == "fetched"


def test_an_adopted_version_is_set_aside_for_a_new_one(
    program: Program, hub: Hub, target: Path
) -> None:
    for name, content in hub.files.items():
        put(target / name, content)
    assert fetch(program, hub, target).returncode == 0
    old = newer(hub)
    done = fetch(program, hub, target)

    assert done.returncode == 0, done.stderr
    assert aside(target) == old
    assert "the earlier version, which we did not fetch, is set aside as" in done.stdout
    assert files(target).items() >= hub.files.items()


@pytest.mark.parametrize("step", [1, 2, 3, 4, 6, 8, 10])
def test_a_switch_that_is_cut_off_never_leaves_splits_of_two_versions(
    program: Program, hub: Hub, target: Path, step: int, tmp_path: Path
) -> None:
    """Killed before each change of the disk by the switch in turn."""
    assert fetch(program, hub, target).returncode == 0
    old = newer(hub)
    # Python loads this by itself at its start.
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text(
        "import os, signal, sys\n"
        "steps, switching = 0, False\n"
        "def watch(event, arguments):\n"
        "    global steps, switching\n"
        "    path = str(arguments[0]) if arguments else ''\n"
        f"    switching |= event == 'os.remove' and path == '{ONE}'\n"
        "    if switching and event in ('os.remove', 'os.rename'):\n"
        "        steps += 1\n"
        f"        if steps == {step}: os.kill(os.getpid(), signal.SIGKILL)\n"
        "sys.addaudithook(watch)\n"
    )
    usual = program.environment["PYTHONPATH"]
    program.environment["PYTHONPATH"] = f"{tmp_path}/site:{usual}"
    program.popen = subprocess.Popen
    killed = fetch(program, hub, target)
    program.environment["PYTHONPATH"] = usual
    now = files(target)
    seen = {"old" for name in hub.files if now.get(name) == old[name]}
    seen |= {"new" for name in hub.files if now.get(name) == hub.files[name]}
    done = fetch(program, hub, target)

    assert killed.returncode == -9
    assert len(seen) <= 1
    # The first split is what is looked for.
    assert now.get(ONE) != hub.files[ONE] or now.get(TWO) == hub.files[TWO]
    assert done.returncode == 0, done.stderr
    assert files(target) == hub.files
    assert kept(target) == {f"{name}.receipt" for name in hub.files}


def test_one_run_fetches_all_models(program: Program, serve: Serve, tmp_path: Path) -> None:
    one, two = serve({"a.gguf": os.urandom(1000)}), serve({"b.gguf": os.urandom(2000)})
    done = program.run(
        spec(model(one, tmp_path / "one", "one"), model(two, tmp_path / "two", "two"))
    )

    assert (done.returncode, done.stderr) == (0, "")
    assert (files(tmp_path / "one"), files(tmp_path / "two")) == (one.files, two.files)
    assert sorted(done.stdout.splitlines()) == ["one: complete, 1.0 KiB", "two: complete, 2.0 KiB"]


def test_one_models_failure_does_not_keep_others_from_finishing(
    program: Program, serve: Serve, tmp_path: Path
) -> None:
    one, two = serve({"a.gguf": os.urandom(1000)}), serve({"b.gguf": os.urandom(2000)})
    one.refuse(404)
    two.refuse(503)
    done = program.run(
        spec(model(one, tmp_path / "one", "one"), model(two, tmp_path / "two", "two"))
    )

    assert done.returncode == 1
    assert done.stderr.startswith("one: a.gguf: the Hub answers 404")
    assert files(tmp_path / "two") == two.files
    assert "two: complete, 2.0 KiB\n" in done.stdout


def test_two_models_may_share_a_file(program: Program, hub: Hub, target: Path) -> None:
    done = program.run(spec(model(hub, target, "one"), model(hub, target, "two", TWO)))

    assert (done.returncode, done.stderr) == (0, "")
    assert files(target) == hub.files
    assert len(hub.asked) == 2
    assert sorted(done.stdout.splitlines()) == [
        "one: complete, 78.1 KiB",
        "two: complete, 48.8 KiB",
    ]


def test_a_file_that_is_shared_survives_the_failure_of_one_model(
    program: Program, hub: Hub, target: Path
) -> None:
    document = spec(model(hub, target, "one"), model(hub, target, "two", TWO))
    hub.files.pop(ONE)
    done = program.run(document)

    assert done.returncode == 1
    assert files(target).items() >= hub.files.items()
    assert "two: complete" in done.stdout


def test_what_older_versions_of_ours_left_is_removed_with_the_file_whole(
    program: Program, hub: Hub, target: Path
) -> None:
    document = spec(model(hub, target))
    part = target / f"{ONE}.{document['models'][0]['files'][0]['sha256'][:12]}.part"
    for left in ("", ".1048576", ".1048576.status", ".pid", ".sum", ".at"):
        put(Path(f"{part}{left}"), b"999999")
    done = program.run(document)

    assert (done.returncode, done.stderr) == (0, "")
    assert files(target) == hub.files


def test_a_whole_file_is_not_there_for_who_cannot_write_its_receipt(
    program: Program, hub: Hub, target: Path
) -> None:
    put(target / ".herd" / f"{ONE}.receipt" / "in the way", b"")
    done = fetch(program, hub, target)

    assert done.returncode == 1
    assert f"tiny: {ONE}: cannot write its receipt" in done.stderr
    assert ONE not in files(target)
    shutil.rmtree(target / ".herd" / f"{ONE}.receipt")

    assert fetch(program, hub, target).returncode == 0
    assert hub.ranges().count("0-29999") == 1
