"""Puts the releases before back: `pyinfra inventory.py rollback.py`, as `make rollback` does."""

from herd.deploys import llama_swap, releases, services, verify

releases.roll_back()
llama_swap.configure()
services.run()
verify.serves()
verify.tell()
