"""Rules of pf let this Mac and named networks to the proxy, and are known as pfctl prints them."""

import subprocess
from pathlib import Path
from typing import Any

import pytest

from herd.core.mac import packet_filter
from herd.core.mac.layout import Layout
from herd.core.mac.packet_filter import Filter
from tests.core.samples import declare, layout, problems, settings

CHATTER = ["No ALTQ support in kernel", "ALTQ related functions disabled"]
ON = [*CHATTER, "Status: Enabled for 0 days 00:01:02           Debug: Urgent"]
OFF = [*CHATTER, "Status: Disabled                              Debug: Urgent"]
MAIN = [
    *CHATTER,
    'scrub-anchor "com.apple/*" all fragment reassemble',
    'anchor "com.apple/*" all',
]
# As print_rule of pfctl_parser.c has them: a family, a port by its name in /etc/services.
PRINTED = """\
pass in quick on lo0 proto tcp from any to any port = {port} flags S/SA keep state
pass in quick inet proto tcp from 10.0.0.0/8 to any port = {port} flags S/SA keep state
pass in quick inet proto tcp from 192.168.1.7 to any port = {port} flags S/SA keep state
pass in quick inet6 proto tcp from fd00::/8 to any port = {port} flags S/SA keep state
block drop in quick proto tcp from any to any port = {port}
"""
NETWORKS = ["192.168.1.7", "10.0.0.0/8", "fd00::/8"]


def place(networks: Any = NETWORKS, **own: Any) -> Layout:
    return layout(mac_networks=networks, **own)


def parse(
    ours: str = PRINTED, info: list[str] = ON, main: list[str] = MAIN, port: Any = 3000
) -> Filter:
    return packet_filter.parse(info, main, [*CHATTER, *ours.format(port=port).splitlines()])


def test_the_rules_let_these_in_and_nobody_else() -> None:
    assert packet_filter.lines(place()) == [
        "pass in quick on lo0 proto tcp from any to any port = 3000",
        "pass in quick proto tcp from 10.0.0.0/8 to any port = 3000",
        "pass in quick proto tcp from 192.168.1.7/32 to any port = 3000",
        "pass in quick proto tcp from fd00::/8 to any port = 3000",
        "block drop in quick proto tcp from any to any port = 3000",
    ]


def test_an_empty_list_is_this_mac_alone() -> None:
    assert len(packet_filter.lines(place([]))) == 2


def test_the_port_that_a_gateway_asks_is_one_of_them() -> None:
    rules = packet_filter.lines(place(["10.0.0.0/8"], proxy_agent_port=3001))

    assert [rule.rpartition(" ")[2] for rule in rules] == ["3000"] * 3 + ["3001"] * 3
    assert (
        packet_filter.complaint(
            place(["10.0.0.0/8"], proxy_agent_port=3001), parse("\n".join(rules))
        )
        is None
    )


def test_a_network_within_another_is_said_once() -> None:
    rules = packet_filter.lines(place(["10.1.0.0/16", "10.0.0.0/8", "10.0.0.0/8"]))

    assert len(rules) == 3


@pytest.mark.parametrize("port", [3000, "hbci"])
def test_what_pfctl_prints_of_them_is_as_wanted(port: Any) -> None:
    """macOS has 3000/tcp in /etc/services, and pfctl of its age prints names."""
    assert packet_filter.complaint(place(), parse(port=port)) is None


def test_their_order_before_the_last_one_means_nothing() -> None:
    first, second, *rest = PRINTED.splitlines()

    assert packet_filter.complaint(place(), parse("\n".join([second, first, *rest]))) is None


def test_six_sources_may_have_become_a_table() -> None:
    many = [f"10.{number}.0.0/24" for number in range(6)]
    lo0, *_, last = PRINTED.splitlines()
    table = lo0.replace("on lo0 proto tcp from any", "inet proto tcp from <__automatic_1a2b_0>")

    assert packet_filter.complaint(place(many), parse("\n".join([lo0, table, last]))) is None


@pytest.mark.parametrize(
    "ours",
    [
        "",
        PRINTED.replace("10.0.0.0/8", "10.0.0.0/9"),
        PRINTED.rpartition("block")[0],
        PRINTED.replace("block drop", "pass"),
        "\n".join([PRINTED.splitlines()[-1], *PRINTED.splitlines()[:-1]]),
        PRINTED.replace("{port}", "3001"),
        PRINTED.replace("on lo0 ", ""),
        PRINTED + "pass in quick proto tcp from 8.8.8.8 to any port = 3000 keep state\n",
        "pass in quick proto udp from any to any port = 53 keep state\n" + PRINTED,
    ],
)
def test_other_rules_are_not(ours: str) -> None:
    assert packet_filter.complaint(place(), parse(ours))


def test_rules_of_a_filter_that_is_off_or_does_not_look_at_them_count_for_nothing() -> None:
    assert packet_filter.complaint(place(), parse(info=OFF)) == "pf is off"
    other = parse(main=[*CHATTER, 'anchor "mine" all'])
    assert "looks at no anchor" in (packet_filter.complaint(place(), other) or "")
    (problem,) = packet_filter.problems(other)
    assert "`pfctl -f` would throw away" in problem.fix
    assert not list(packet_filter.problems(parse(info=OFF)))


def test_what_is_no_answer() -> None:
    with pytest.raises(ValueError, match="does not say"):
        parse(info=["sudo: a password is required"])


@pytest.mark.parametrize("old", ["", "41"])
def test_the_job_of_each_start_loads_the_rules_and_holds_pf_on(old: str, tmp_path: Path) -> None:
    """With a pfctl that notes its arguments and what it read; what it held before is given back."""
    job = packet_filter.job(place())
    said, token = tmp_path / "said", tmp_path / f"250.{packet_filter.label(place())}.token"
    pfctl = tmp_path / "pfctl"
    pfctl.write_text(
        f"""#!/bin/sh
        echo "$@" >>{said}
        case $1 in
          -a) cat >>{said} ;;
          -E) printf 'pf enabled\\nToken : 42\\n' >&2 ;;
        esac
        """
    )
    pfctl.chmod(0o755)
    if old:
        token.write_text(f"{old}\n")
    words = [word.replace("/var/run", str(tmp_path)) for word in job["ProgramArguments"]]
    path = f"{tmp_path}:/usr/bin:/bin"
    done = subprocess.run(words, check=True, env={"PATH": path}, stderr=subprocess.PIPE, text=True)

    assert done.stderr == ""
    assert said.read_text().splitlines() == [
        "-a com.apple/250.com.moonspirit.proxy-networks -f -",
        *packet_filter.lines(place()),
        "-E",
        *([f"-X {old}"] if old else []),
    ]
    assert token.read_text() == "42\n"
    assert job["RunAtLoad"]
    assert "/etc/pf.conf" not in str(job)


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("192.168.1.0/24", "192.168.1.0/24"),
        ("10.0.0.9", "10.0.0.9/32"),
        ("FD00:0::/8", "fd00::/8"),
        ("2001:db8::1", "2001:db8::1/128"),
        ("0.0.0.0/0", "0.0.0.0/0"),
    ],
)
def test_a_network_is_kept_in_one_spelling(given: str, kept: str) -> None:
    assert settings(mac_networks=[given]).mac_networks == [kept]


@pytest.mark.parametrize(
    ("given", "what"),
    [
        ("192.168.1.5/24", "write 192.168.1.0/24, or 192.168.1.5 alone"),
        ("fd00::1/8", "write fd00::/8, or fd00::1 alone"),
        ("192.168.1.0/255.255.255.0", "is no network"),
        ("192.168.1.0/0.0.0.255", "is no network"),
        ("192.168.1.0/33", "is no network"),
        ("192.168.1.0/024", "is no network"),
        ("192.168.1", "is no network"),
        ("010.0.0.1", "is no network"),
        ("fe80::1%en0", "is no network"),
        ("::ffff:10.0.0.1", "IPv4 in IPv6"),
        ("studio.local", "is no network"),
        ("any", "is no network"),
        ("10.0.0.0/8 to any", "is no network"),
        ("", "at least 1"),
    ],
)
def test_what_is_no_network_is_a_problem(given: str, what: str) -> None:
    (problem,) = problems(declare(mac_networks=[given]))

    assert what in problem.what


def test_no_part_of_what_gives_back_a_reference_does_harm() -> None:
    """sudo compares words joined by blanks, so the script may come cut; it holds no other word."""
    flush, release = packet_filter.without("com.x.proxy-networks")

    assert flush == ("/sbin/pfctl", "-a", "com.apple/250.com.x.proxy-networks", "-F", "rules")
    assert release == (
        "/bin/sh",
        "-c",
        "read -r token </var/run/250.com.x.proxy-networks.token && /sbin/pfctl -X $token; "
        "/bin/rm -f /var/run/250.com.x.proxy-networks.token",
    )
    assert release in list(packet_filter.root(layout(launchd_label_prefix="com.x")))
    assert packet_filter.without("llama-herd.gpu-wired-limit") == []
