"""The commands that serve nothing, a file each; `python -m proxy` and the workstation have them."""

NO_DAY = "neither days as 90d nor a date as 2026-12-31: {!r}"
