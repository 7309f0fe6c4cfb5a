"""A simulated Mac for developing and testing the herd without one.

    lab.lab        the Python API: `Lab`, `Mac`; starts the daemon, writes the inventory
    lab.daemon     the one background process: SSH servers, launchds, the Hub endpoint
    lab.mac        one Mac's folder, facts, tools and environment (standard library only)
    lab.ssh        sshd and its SFTP
    lab.launchd    jobs, domains, sessions, property lists; launchctl's verbs and layouts
    lab.terminal   Terminal windows
    lab.control    the private channel between the daemon, the stand-ins and the tests
    lab.homebrew   Homebrew's formulae, taps and trust
    lab.processes  finding and ending what belongs to a Mac
    lab.commands   the programs of macOS that a workstation has not, or has differently; most are
                   answered by one process that has them all, without a start of Python

Nothing here reaches beyond loopback, and nothing needs root.  One thing cannot be simulated
without root: absolute paths inside commands (`/usr/bin/open`, `/bin/launchctl`) are the
workstation's own, so programs under test have to call such tools by name.
"""
