"""What machine this is: sw_vers, uname, arch, hostname, sysctl, memory_pressure, vm_stat."""

from __future__ import annotations

import time

from lab.commands.base import Illegal, as_root, fail, getopt
from lab.mac import Machine

PAGE = 16384
# One real build per major version; others get a plausible letter.
BUILDS = {"14.6": "23G80", "15.7.5": "24G617", "26.1": "25B78", "27.0": "26A428"}
# Darwin 23 is macOS 14, 24 is 15, 25 is 26, and 27 is 27 (uname captures).
DARWIN = {14: 23, 15: 24, 26: 25, 27: 27}


def darwin(mac: Machine) -> str:
    parts = str(mac.facts["macos"]).split(".")
    minor = parts[1] if len(parts) > 1 else "0"
    return f"{DARWIN.get(mac.macos_major, mac.macos_major - 1)}.{minor}.0"


def sw_vers(mac: Machine, args: list[str]) -> int:
    """sw_vers(1): tabs as it prints them; options with one or two dashes."""
    version = str(mac.facts["macos"])
    build = BUILDS.get(version, f"{darwin(mac).split('.')[0]}A100")
    values = {"productName": "macOS", "productVersion": version, "buildVersion": build}
    if not args:
        for key, value in values.items():
            print(f"{key[0].upper()}{key[1:]}:\t\t{value}")
        return 0
    key = args[0].lstrip("-")
    if key not in values:
        return fail("usage: sw_vers [--help | --productName | --productVersion | --buildVersion]")
    print(values[key])
    return 0


def uname(mac: Machine, args: list[str]) -> int:
    """uname(1): BSD options, printed in the fixed order."""
    try:
        flags, _ = getopt(args, "amnoprsv")
    except Illegal as error:
        return fail(f"uname: {error}\nusage: uname [-amnoprsv]")
    release = darwin(mac)
    arch = mac.facts["arch"]
    version = (
        f"Darwin Kernel Version {release}: Mon Oct 20 19:32:41 PDT 2025;"
        f" root:xnu-12377.41.6~2/RELEASE_{arch.upper()}_T6041"
    )
    values = {"s": "Darwin", "n": f"{mac.name}.local", "r": release, "v": version, "m": arch}
    wanted = {letter for letter, _ in flags} or {"s"}
    if "a" in wanted:
        wanted |= set(values)
    values["p"] = "arm" if arch == "arm64" else "i386"
    values["o"] = "Darwin"
    wanted -= {"a"}
    print(" ".join(value for key, value in values.items() if key in wanted))
    return 0


def arch(mac: Machine, args: list[str]) -> int:
    print(mac.facts["arch"])
    return 0


def hostname(mac: Machine, args: list[str]) -> int:
    print(mac.name if "-s" in args else f"{mac.name}.local")
    return 0


def oids(mac: Machine) -> dict[str, str]:
    facts = mac.facts
    boot = int(facts["boottime"])
    when = time.strftime("%a %b %e %H:%M:%S %Y", time.localtime(boot))
    return {
        "hw.memsize": str(facts["memsize"]),
        "hw.ncpu": str(facts["cores"]),
        "hw.physicalcpu": str(facts["cores"]),
        "hw.logicalcpu": str(facts["cores"]),
        "hw.perflevel0.physicalcpu": str(facts["performance_cores"]),
        "hw.perflevel1.physicalcpu": str(facts["cores"] - facts["performance_cores"]),
        "hw.pagesize": str(PAGE),
        "hw.model": "Mac16,5",
        "hw.optional.arm64": "1" if facts["arch"] == "arm64" else "0",
        "machdep.cpu.brand_string": facts["chip"],
        "iogpu.wired_limit_mb": str(facts["wired_limit_mb"]),
        "kern.boottime": f"{{ sec = {boot}, usec = 123456 }} {when}",
        "kern.osproductversion": str(facts["macos"]),
        "kern.ostype": "Darwin",
        "kern.osrelease": darwin(mac),
        "kern.hostname": f"{mac.name}.local",
        "kern.hv_vmm_present": "0",
        "kern.memorystatus_vm_pressure_level": "1",
        "vm.swapusage": "total = 0.00M  used = 0.00M  free = 0.00M  (encrypted)",
    } | {name: str(value) for name, value in facts["sysctl"].items()}


def sysctl(mac: Machine, args: list[str]) -> int:
    """sysctl(8); texts from Apple's system_cmds."""
    try:
        flags, names = getopt(args, "AabdeFilNnoqtWwX")
    except Illegal as error:
        return fail(f"sysctl: {error}\nusage: sysctl [-bdehiNnoqx] name[=value] ...")
    letters = {letter for letter, _ in flags}
    known = oids(mac)
    if letters & {"a", "A"}:
        names = sorted(known)
    code = 0
    for name in names:
        name, assign, value = name.partition("=")
        if name not in known:
            code = 0 if "i" in letters else fail(f"sysctl: unknown oid '{name}'")
        elif assign and not as_root():
            code = fail(f"sysctl: {name}={value}: Operation not permitted")
        elif assign:
            print(f"{name}: {known[name]} -> {value}")
            if "sysctl" in mac.facts["lies"]:
                continue
            if name == "iogpu.wired_limit_mb":
                mac.set(wired_limit_mb=int(value))
            else:
                mac.set(sysctl=mac.facts["sysctl"] | {name: value})
        else:
            print(known[name] if "n" in letters else f"{name}: {known[name]}")
    return code


def memory_pressure(mac: Machine, args: list[str]) -> int:
    """memory_pressure -Q, from Apple's system_cmds."""
    size = int(mac.facts["memsize"])
    print(f"The system has {size} ({size // PAGE} pages with a page size of {PAGE}).")
    print(f"System-wide memory free percentage: {mac.facts.get('memory_free_percent', 66)}%")
    return 0


def vm_stat(mac: Machine, args: list[str]) -> int:
    """vm_stat(1), from Apple's system_cmds: every value ends with a full stop."""
    pages = int(mac.facts["memsize"]) // PAGE
    free = pages * int(mac.facts.get("memory_free_percent", 66)) // 100
    print(f"Mach Virtual Memory Statistics: (page size of {PAGE} bytes)")
    for name, value in (
        ("Pages free", free),
        ("Pages active", (pages - free) // 2),
        ("Pages inactive", (pages - free) // 4),
        ("Pages speculative", 0),
        ("Pages wired down", (pages - free) // 4),
        ("Pages occupied by compressor", 0),
    ):
        print(f"{name + ':':<25}{value:>20}.")
    return 0
