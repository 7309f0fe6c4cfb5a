"""What a Mac does when it starts anew."""

from collections.abc import Iterable

from pyinfra.api import StringCommand

from herd.core.mac.boot import Boot
from herd.facts.fact import Fact
from herd.facts.script import script

# By its words: whether `fdesetup status` fails where it is off is uncertain (fdesetup(8)).
_FILEVAULT = {"FileVault is On.": True, "FileVault is Off.": False}


class AtStart(Fact[Boot]):
    """FileVault, automatic login, and volumes before anybody's login; all three need no root."""

    @staticmethod
    def default() -> Boot:
        return Boot()

    def command(self) -> StringCommand:
        return script("boot")

    def process(self, output: Iterable[str]) -> Boot:
        values = dict(line.split("\t", 1) for line in output if "\t" in line)
        filevault = _FILEVAULT.get(values["filevault"].strip())
        return Boot(
            filevault=filevault,
            # What it was is kept there when FileVault is turned on.
            automatic_login="" if filevault else values["login"].strip(),
            volumes_without_login=values["volumes"].strip() in ("1", "true", "YES"),
        )
