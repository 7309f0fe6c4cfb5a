"""The environment of our commands, whatever startup files of the user's shell have made of it.

They are read before each command over SSH. What a person sets there for a terminal changes what
macOS's tools take and print: GREP_OPTIONS colours what grep says, COMMAND_MODE=legacy makes ps
another (compat(5)), BLOCKSIZE changes df's numbers, PYTHONHOME and PERL5OPT break what is written
in those languages, and macOS's sh, which is bash, takes functions and options out of it.
"""

from collections.abc import Mapping

from herd.core.mac.layout import SYSTEM_PATH

VARIABLES: Mapping[str, str] = {"PATH": SYSTEM_PATH, "LC_ALL": "C", "COMMAND_MODE": "unix2003"}
"""What each command has, unless it says otherwise: macOS's own tools first, in their own words."""

_NOT_OURS = (
    *("BASH_ENV", "ENV", "CDPATH", "GLOBIGNORE", "POSIXLY_CORRECT", "COLUMNS"),
    *("GREP_OPTIONS", "GREP_COLOR", "CLICOLOR_FORCE", "BLOCKSIZE"),
    *("PYTHONHOME", "PYTHONPATH", "PYTHONINSPECT", "PERL5OPT", "PERL5LIB"),
)

PREAMBLE = "; ".join(
    [
        # bash's come by SHELLOPTS and `export -f`. First, as only what is special goes before them.
        "set +Cefuvx",
        "case ${BASH_VERSION:+x} in x) unset -f $(compgen -A function) ;; esac",
        "umask 022",
        f"unset {' '.join(_NOT_OURS)}",
        '[ -w "${TMPDIR:-/}" ] || unset TMPDIR',
        "",
    ]
)
"""Shell text that goes before a command, for any sh."""
