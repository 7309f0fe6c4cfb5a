"""Each deliberate fault of a Mac is found by its name, and on a right Mac nothing is."""

from dataclasses import replace
from typing import Any

import pytest

from herd.core.mac.launchd import Job
from herd.core.mac.mac import Identity
from herd.core.mac.symptoms import Symptoms, parse
from herd.core.mac.vitals import Vitals
from herd.core.settings.problems import Problem
from herd.core.text.units import GIB
from herd.diagnosis import findings
from herd.diagnosis.finding import CLOSE, DAY, START, UNQUARANTINE, Finding, Patient
from herd.facts.answers import Served
from herd.facts.listeners import Listener, Process
from tests.core.samples import layout

NOW = 1_764_381_600.0
LAYOUT = layout()
MODEL = next(iter(LAYOUT.settings.models))
MAC = Identity(
    uid=501,
    user="me",
    home="/Users/me",
    system="Darwin",
    arch="arm64",
    macos=(26, 1),
    chip="Apple M4 Max",
    memory=128 * GIB,
    command_line_tools=True,
    console=True,
    brew=True,
    sudo=None,
    writable=True,
    disk_free=800 * GIB,
)
SERVED = Served(
    llama_swap=200,
    keyless=401,
    anonymous=401,
    with_key=200,
    listed=frozenset(LAYOUT.settings.models),
)


def job(name: str, **own: Any) -> Job:
    program = f"/opt/homebrew/bin/{name}"
    values = {"pid": 100 if name == "proxy" else 200, "runs": 1, "last_exit": "(never exited)"}
    arguments = (program, LAYOUT.config)
    return Job(**{"path": LAYOUT.plist(name), "state": "running", "arguments": arguments,
                  **values, **own})  # fmt: skip


JOBS = {name: job(name) for name in ("llama-swap", "proxy")}
SWAP, PROXY = LAYOUT.settings.llama_swap_port, LAYOUT.settings.proxy_port
LISTENERS = {
    SWAP: Listener({200: Process(1, f"llama-swap --config {LAYOUT.config}")}),
    PROXY: Listener({100: Process(1, f"{LAYOUT.root}/proxy/env/bin/python -m proxy")}),
    LAYOUT.settings.llama_server_start_port: Listener({300: Process(200, "llama-server")}),
}
RIGHT = Patient(
    layout=LAYOUT,
    mac=MAC,
    served=SERVED,
    jobs=JOBS,
    listeners=LISTENERS,
    vitals=Vitals(pressure=1, swap_used=0, swap_total=0, booted=3600),
    symptoms=Symptoms(
        clock=int(NOW),
        filevault="FileVault is Off.",
        firewall="Firewall is enabled. (State = 1)",
    ),
    disk_free=800 * GIB,
    expiries={"anna": NOW + 90 * DAY},
    certificate=NOW + 60 * DAY,
    now=NOW,
)


def only(patient: Patient) -> Finding:
    (found,) = findings(patient)
    return found


def symptoms(**own: Any) -> Patient:
    return replace(RIGHT, symptoms=replace(RIGHT.symptoms, **own))


def served(**own: Any) -> Patient:
    return replace(RIGHT, served=replace(SERVED, **own))


def jobs(name: str, **own: Any) -> Patient:
    return replace(RIGHT, jobs={**JOBS, name: job(name, **own)})


def mac(**own: Any) -> Patient:
    return replace(RIGHT, mac=replace(MAC, **own))


def vitals(**own: Any) -> Patient:
    return replace(RIGHT, vitals=replace(RIGHT.vitals, **own))


def log(line: str) -> Patient:
    return symptoms(log=(line,))


STRANGER = Listener({7: Process(1, "/usr/bin/nc -l 3000")})
OTHER_USERS = Listener({})
BY_HAND = Listener({9: Process(1, f"node proxy.ts {LAYOUT.root}/config.json")})
LOGS = "/Users/me/Library/Logs/DiagnosticReports"

# What is wrong: the finding that says so, and a word of its evidence or its fix.
FAULTS: dict[str, tuple[Patient, str, str]] = {
    "llama-swap is silent": (served(llama_swap=0), "not-serving", "does not answer on /health"),
    "open to everybody": (served(anonymous=200), "not-serving", "without a key, not 401"),
    "llama-swap is open": (served(keyless=200), "not-serving", "without its key"),
    "keys not taken": (served(refused="line 3"), "not-serving", "does not take its keys"),
    "a key is refused": (served(with_key=403), "not-serving", "HTTP 403 with a key"),
    "other models": (served(listed=frozenset({"x"})), "not-serving", "does not list gpt-oss-120b"),
    "other certificate": (served(other_certificate=True), "not-serving", "another certificate"),
    "a stranger at the proxy's port": (served(stranger=True), "not-serving", "somebody else"),
    "gateway": (replace(RIGHT, gateway="HAProxy does not answer"), "gateway", "HAProxy"),
    "gateway alone": (replace(RIGHT, unheard=["gw2"]), "gateway-not-heard", "not heard: gw2"),
    "files missing": (replace(RIGHT, unfit=[MODEL]), "model-files", MODEL),
    "last request failed": (served(failed={MODEL: "HTTP 502 at 9"}), "request-failed", "HTTP 502"),
    "health check": (
        log("[ERROR] <m> health check timed out after 120s"),
        "health-check-timeout",
        "memory_pressure",
    ),
    "no memory": (log("ggml_metal: failed to allocate buffer"), "out-of-memory", "ctx_size"),
    "no memory, by Metal": (log("CallbackErrorOutOfMemory"), "out-of-memory", "mlock"),
    "a port of a model": (log("bind: address already in use"), "port-in-use", "address already"),
    "privacy": (log("open /Volumes/x: Operation not permitted"), "not-permitted", "Privacy"),
    "no backend": (log("no backends are loaded."), "llama-server-broken", "brew reinstall"),
    "slow": (symptoms(slow=((MODEL, 45.2, "2026"),)), "slow-first-answer", "45 s"),
    "not loaded": (
        replace(RIGHT, jobs={**JOBS, "proxy": None}, listeners={SWAP: LISTENERS[SWAP]}),
        "service-not-loaded", "proxy",
    ),
    "lies down": (
        replace(
            jobs("llama-swap", pid=None, state="not running", last_exit="1"),
            listeners={PROXY: LISTENERS[PROXY]},
        ),
        "service-down",
        "last exit 1",
    ),
    "crash loop": (jobs("proxy", runs=40, last_exit="1"), "crash-loop", "started 40 times"),
    "crash loop of dyld": (
        jobs("llama-swap", runs=9, last_exit="Abort trap: 6", reason="OS_REASON_DYLD"),
        "crash-loop",
        "a library of it is missing",
    ),
    "overwritten in place": (
        jobs("proxy", runs=2, last_exit="Killed: 9", reason="OS_REASON_CODESIGNING"),
        "killed",
        "overwritten in place",
    ),
    "ended for room": (
        jobs("llama-swap", runs=2, last_exit="Killed: 9", reason="OS_REASON_JETSAM"),
        "killed",
        "for its memory",
    ),
    "port taken": (
        replace(RIGHT, listeners={**LISTENERS, PROXY: STRANGER}), "port-in-use", "nc -l"
    ),
    "port of another user": (
        replace(RIGHT, listeners={**LISTENERS, SWAP: OTHER_USERS}),
        "port-in-use",
        "another user's process",
    ),
    "quarantined": (symptoms(quarantined=("/p.plist",)), "quarantined", "xattr -d"),
    "pressure": (vitals(pressure=2), "memory-pressure", "warning"),
    "critical": (vitals(pressure=4), "memory-pressure", "critical"),
    "swap": (vitals(swap_used=3 * GIB), "swap", "3.0 GiB"),
    "wired limit": (mac(wired_limit=127 * GIB), "wired-limit", "iogpu.wired_limit_mb=122880"),
    "jetsam": (symptoms(reports=(f"{LOGS}/JetsamEvent-1.ips",)), "jetsam", "JetsamEvent-1"),
    "disk": (replace(RIGHT, disk_free=GIB), "disk", "1.0 GiB are free"),
    "sleep": (mac(sleep=10), "sleeps", "after 10 minutes"),
    "a minute": (mac(sleep=1), "sleeps", "after 1 minute without"),
    "nobody at the screen": (mac(console=False), "no-session", "me is not logged in"),
    "FileVault": (symptoms(filevault="FileVault is On."), "filevault", "after a restart"),
    "clock ahead": (symptoms(clock=int(NOW) + 300), "clock", "300 s ahead"),
    "clock behind": (symptoms(clock=int(NOW) - 90), "clock", "90 s behind"),
    "firewall": (
        symptoms(
            firewall="Firewall is blocking all non-essential incoming connections. (State = 2)"
        ),
        "firewall",
        "State = 2",
    ),
    "firewall's list": (
        symptoms(shut_out="/opt/homebrew/Cellar/python@3.13/Python"),
        "firewall-shuts-out",
        "mac_firewall_exception = True",
    ),
    "books that others read": (
        symptoms(readable=("/s/usage.db",)), "readable-by-others", "chmod 600 /s/usage.db",
    ),
    "of another user": (symptoms(foreign=("/s/models",)), "of-another-user", "not me's"),
    "edited": (replace(RIGHT, edited=["proxy/policy.py"]), "proxy-code", "proxy/policy.py of the"),
    "stray": (symptoms(orphans=(77,)), "stray-llama-server", "kill 77"),
    "battery": (vitals(source="Battery Power", charge=40), "on-battery", "40 % charged"),
    "UPS": (vitals(source="UPS Power"), "on-battery", "UPS Power"),
    "low power": (symptoms(low_power="powermode"), "low-power-mode", "pmset -a powermode 0"),
    "wired by nobody": (vitals(wired=90 * GIB), "wired-memory", "90.0 GiB of 128.0 GiB"),
    "disk breaks": (symptoms(smart="Failing"), "disk-fails", "SMART status Failing"),
    "files do not fit on the disk": (
        replace(RIGHT, problems=[Problem("disk", "90 GiB are still to be fetched.", "free some")]),
        "disk",
        "still to be fetched",
    ),
    "drained": (replace(RIGHT, closed="drain: a new disk"), "drained", "a new disk"),
    "stuck": (symptoms(stuck=True), "no-token", "make restart"),
    "a pinned llama-server breaks": (
        replace(RIGHT, server="llama-server cannot run: dyld: x"), "llama-server-broken", "dyld",
    ),
    "a daemon still": (
        replace(RIGHT, jobs={**JOBS, "proxy": None}, elsewhere={"proxy": "a daemon"}),
        "other-domain",
        "proxy runs as a daemon",
    ),
    "HAProxy crashed": (symptoms(reports=(f"{LOGS}/haproxy-1.ips",)), "crashed", "haproxy crashed"),
    "heat": (vitals(throttled=("thermal warning level 2",)), "heat", "level 2"),
    "panic": (symptoms(reports=("/Library/Logs/DiagnosticReports/K.panic",)), "panic", "K.panic"),
    "crashed": (
        symptoms(reports=(f"{LOGS}/llama-server-1.ips", f"{LOGS}/llama-server-2.ips")),
        "crashed",
        "crashed 2 times",
    ),
    "local network": (symptoms(denied=("b.local:3000",)), "local-network", "to b.local:3000"),
    "updates": (symptoms(updates=("macOS Tahoe 26.2",)), "update-restarts", "Tahoe 26.2"),
    "key ends": (replace(RIGHT, expiries={"ben": NOW + 3 * DAY}), "key-expires", "ends in 3 d"),
    "key ended": (replace(RIGHT, expiries={"ben": NOW - DAY}), "key-expires", "ended 1 d 0 h ago"),
    "certificate ends": (replace(RIGHT, certificate=NOW + 9 * DAY), "certificate-expires", "9 d"),
    "certificate ended": (replace(RIGHT, certificate=NOW - 9), "certificate-expires", "ended 9 s"),
    "drift": (
        replace(RIGHT, changes=["llama-swap | Write config.yaml"]),
        "drift",
        "llama-swap: Write config.yaml",
    ),
    "runs otherwise": (
        replace(RIGHT, running=["recite runs by another command line than is declared: a"]),
        "runs-otherwise",
        "another command line",
    ),
    "package not linked": (
        replace(RIGHT, problems=[Problem("package llama.cpp", "It is not linked.", "brew link")]),
        "package-llama-cpp",
        "brew link",
    ),
    "too large": (
        replace(RIGHT, problems=[Problem("memory for m", "It does not fit.", "a smaller one")]),
        "memory-for-m",
        "does not fit",
    ),
}  # fmt: skip


def test_a_right_mac_has_no_findings() -> None:
    assert findings(RIGHT) == []


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_found_by_its_name_with_evidence_and_a_fix(fault: str) -> None:
    patient, name, words = FAULTS[fault]

    found = only(patient)

    assert found.name == name
    assert words in f"{found.evidence} {found.fix}"
    assert found.evidence
    assert found.fix


def test_several_faults_are_all_told() -> None:
    patient = replace(
        RIGHT,
        mac=replace(MAC, sleep=1, console=False),
        vitals=replace(RIGHT.vitals, pressure=4),
        jobs={"llama-swap": None, "proxy": None},
        listeners={},
        disk_free=0,
    )

    names = [each.name for each in findings(patient)]

    assert sorted(names) == [
        *("disk", "memory-pressure", "no-session", "service-not-loaded", "service-not-loaded"),
        "sleeps",
    ]


@pytest.mark.parametrize(
    ("patient", "mend"),
    [
        (FAULTS["not loaded"][0], START),
        (FAULTS["lies down"][0], START),
        (FAULTS["quarantined"][0], UNQUARANTINE),
        (FAULTS["books that others read"][0], CLOSE),
        (FAULTS["port taken"][0], ""),
        (FAULTS["drift"][0], ""),
        (FAULTS["jetsam"][0], ""),
    ],
)
def test_only_what_is_safe_is_mended(patient: Patient, mend: str) -> None:
    assert only(patient).mend == mend


def test_what_waits_for_a_login_is_not_to_be_started_before() -> None:
    waits = replace(
        RIGHT,
        mac=replace(MAC, console=False),
        jobs={**JOBS, "proxy": None},
        listeners={port: who for port, who in LISTENERS.items() if port != PROXY},
    )
    daemon = replace(waits, layout=layout(launchd_domain="daemon"))

    (agent,) = (each for each in findings(waits) if each.name == "service-not-loaded")
    (other,) = (each for each in findings(daemon) if each.name == "service-not-loaded")

    assert (agent.fix, agent.mend) == ("log in there: it starts with that", "")
    assert other.mend == START


def test_where_nothing_shall_run_by_itself_nothing_lies_down() -> None:
    off = layout(launchd_autostart="off")
    patient = replace(RIGHT, layout=off, mac=replace(MAC, console=False), jobs={}, listeners={})

    assert findings(patient) == []


def test_one_that_runs_by_hand_is_not_down() -> None:
    patient = replace(RIGHT, jobs={**JOBS, "proxy": None}, listeners={**LISTENERS, PROXY: BY_HAND})

    assert only(patient).name == "outside-launchd"


def test_what_keeps_from_a_proxy_that_is_for_the_mac_only_keeps_nobody() -> None:
    own = layout(proxy_host="127.0.0.1")
    listeners = {**LISTENERS, PROXY: Listener({100: Process(1, f"{own.root}/python -m proxy")})}
    patient = replace(FAULTS["firewall's list"][0], layout=own, listeners=listeners)

    assert findings(patient) == []


def test_memory_is_wired_for_a_model_that_is_loaded_or_coming() -> None:
    patient = replace(
        FAULTS["wired by nobody"][0], served=replace(SERVED, states={"m": "starting"})
    )

    assert findings(patient) == []


def test_a_llama_server_of_which_a_deploy_complains_is_told_once() -> None:
    problem = Problem("package llama.cpp", "It is not linked.", "brew link")
    patient = replace(RIGHT, server="llama-server is not linked", problems=[problem])

    assert only(patient).name == "package-llama-cpp"


def test_what_a_log_said_before_all_came_up_is_over() -> None:
    patient = FAULTS["no memory"][0]
    ready = replace(patient, served=replace(SERVED, states={MODEL: "ready"}))

    assert findings(ready) == []


@pytest.mark.parametrize("exit", ["Terminated: 15", "(never exited)", "0", "Killed: 9"])
def test_a_job_that_was_restarted_often_on_purpose_is_no_crash_loop(exit: str) -> None:
    assert findings(jobs("proxy", runs=30, last_exit=exit)) == []


def test_symptoms_are_read_by_kind_and_once() -> None:
    found = parse(
        [
            "clock\t1764381600",
            "filevault\tFileVault is On.",
            "installs\t0",
            "update\tmacOS 26.2",
            "report\t/a.ips",
            "report\t/b.ips",
            "log\tout of memory",
            "log\tout of memory",
            "slow\tmy-model 31.5 2026-11-29T03:00:00Z",
            "slow\tgarbage",
            "noise",
        ]
    )

    assert found == Symptoms(
        clock=1764381600,
        filevault="FileVault is On.",
        installs=False,
        updates=("macOS 26.2",),
        reports=("/a.ips", "/b.ips"),
        log=("out of memory",),
        slow=(("my-model", 31.5, "2026-11-29T03:00:00Z"),),
    )


def test_a_mac_that_tells_nothing_shows_nothing() -> None:
    assert parse([]) == Symptoms()
