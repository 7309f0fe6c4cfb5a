"""The commands that serve nothing, a file each; `python -m proxy` and the workstation have them."""
