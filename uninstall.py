"""Takes a stack off Macs again: `pyinfra inventory.py uninstall.py`, as `make uninstall` does."""

from herd.deploys import uninstall

uninstall.services()
uninstall.mac()
uninstall.files()
uninstall.models()
uninstall.packages()
uninstall.leave()
