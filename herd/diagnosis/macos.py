"""macOS itself: sleep, session, clock, firewall, heat, crashes of it, updates."""

from collections.abc import Iterator

from herd.diagnosis.finding import Finding, Patient

_APART = 30
"""Seconds that two clocks may differ: keys and certificates end by the Mac's."""

_OWN = ("127.0.0.1", "::1", "localhost")
"""Addresses on which only the Mac itself asks."""


def sleep(patient: Patient) -> Iterator[Finding]:
    """A Mac that sleeps serves nobody; llama-server does not keep it awake."""
    if patient.mac.sleep:
        minutes = patient.mac.sleep
        yield Finding(
            "sleeps",
            f"it sleeps after {minutes} minute{'s' if minutes > 1 else ''} without a user",
            'set mac_sleep = "never" and deploy, or `sudo pmset -a sleep 0` on the Mac',
        )


def session(patient: Patient) -> Iterator[Finding]:
    """LaunchAgents live in the session at the screen."""
    settings = patient.layout.settings
    needs = settings.launchd_autostart != "off" and not patient.layout.is_daemon
    if needs and not patient.mac.console:
        yield Finding(
            "no-session",
            f"{patient.mac.user} is not logged in at the Mac's screen, where LaunchAgents live",
            "log in there or by Screen Sharing, and turn on automatic login for restarts",
        )
    if patient.symptoms.filevault.startswith("FileVault is On"):
        yield Finding(
            "filevault",
            "FileVault is on: after a restart the Mac waits for a password before anything runs",
            "unlock it then (over SSH from macOS 26 on), or turn FileVault off where the place is "
            "safe",
        )


def clock(patient: Patient) -> Iterator[Finding]:
    """Against the workstation's."""
    if patient.symptoms.clock is None or not patient.now:
        return
    apart = round(patient.symptoms.clock - patient.now)
    if abs(apart) > _APART:
        which = "ahead of" if apart > 0 else "behind"
        yield Finding(
            "clock",
            f"its clock is {abs(apart)} s {which} this workstation's",
            "turn on Set time and date automatically (General > Date & Time), or `sudo sntp -sS "
            "time.apple.com` on the Mac",
        )


def firewall(patient: Patient) -> Iterator[Finding]:
    """State 2 lets nobody in, whatever exceptions there are."""
    said = patient.symptoms.firewall
    if "State = 2" in said or "block all" in said or "blocking all" in said:
        yield Finding(
            "firewall",
            said,
            "turn off Block all incoming connections (Network > Firewall > Options): clients "
            "cannot reach the proxy",
        )


def firewall_list(patient: Patient) -> Iterator[Finding]:
    """Whom it keeps from the proxy it tells nobody, and the Mac itself still reaches it."""
    program = patient.symptoms.shut_out
    if program and patient.layout.settings.proxy_host not in _OWN:
        yield Finding(
            "firewall-shuts-out",
            f"the firewall is on, and its list does not let anybody reach the proxy, {program}",
            "set mac_firewall_exception = True and deploy, or allow it under Network > Firewall > "
            "Options, again after each upgrade of Python",
        )


def heat(patient: Patient) -> Iterator[Finding]:
    """Only what macOS itself says of it."""
    if patient.vitals.throttled:
        yield Finding(
            "heat", ", ".join(patient.vitals.throttled), "give it air; generation is slower now"
        )


def power(patient: Patient) -> Iterator[Finding]:
    """One that runs out, or is saved."""
    vitals = patient.vitals
    if vitals.on_mains is False:
        left = "" if vitals.charge is None else f", which is {vitals.charge} % charged"
        yield Finding(
            "on-battery",
            f"it draws from {vitals.source}{left}",
            "connect it to the mains: what is left does not last, and GPU and processor may run "
            "slower",
        )
    if setting := patient.symptoms.low_power:
        yield Finding(
            "low-power-mode",
            f"Low Power Mode is on ({setting} 1): GPU and processor run slower",
            f"`sudo pmset -a {setting} 0` on the Mac, or System Settings > Energy",
        )


def panics(patient: Patient) -> Iterator[Finding]:
    """Of the last week."""
    found = [path for path in patient.symptoms.reports if path.endswith(".panic")]
    if found:
        yield Finding(
            "panic",
            f"macOS crashed: {max(found)}",
            "leave more memory to macOS (iogpu.wired_limit_mb, preflight_memory_reserve_gb), and "
            "update it",
        )


def crashes(patient: Patient) -> Iterator[Finding]:
    """Of what a stack runs, in the last week."""
    for program in ("llama-server", "llama-swap", "haproxy"):
        found = [p for p in patient.symptoms.reports if p.rpartition("/")[2].startswith(program)]
        if found:
            yield Finding(
                "crashed",
                f"{program} crashed {len(found)} time{'s' if len(found) > 1 else ''} in a week; "
                f"the newest report is {max(found)}",
                "read its first lines; if memory is not why, upgrade it",
            )


def updates(patient: Patient) -> Iterator[Finding]:
    """Those that wait, where macOS installs them by itself."""
    if patient.symptoms.updates and patient.symptoms.installs:
        yield Finding(
            "update-restarts",
            f"macOS will restart for {', '.join(patient.symptoms.updates)}, as it likes",
            "install it when it suits, or turn off Install macOS updates (General > Software "
            "Update)",
        )


def local_network(patient: Patient) -> Iterator[Finding]:
    """Whom macOS keeps a program from, which says so to nobody: HAProxy's own checks are asked, as
    they are made in its session, where a program over SSH would be let through."""
    if denied := patient.symptoms.denied:
        yield Finding(
            "local-network",
            f"HAProxy finds no route to {', '.join(denied)}, and other programs here do",
            "allow it under Privacy & Security > Local Network at the Mac's screen, again after "
            "each upgrade of HAProxy, then `make restart`",
        )


RULES = (
    *(sleep, session, clock, firewall, firewall_list, heat, power, panics, crashes, updates),
    local_network,
)
