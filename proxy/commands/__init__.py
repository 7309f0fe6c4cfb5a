"""The commands that serve nothing, a file each; `python -m proxy` and the workstation have them.

They import nothing that serves, which takes ten times as long as they do.
"""

NO_DAY = "neither days as 90d nor a date as 2026-12-31: {!r}"
