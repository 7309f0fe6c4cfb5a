"""Turns Macs into LLM servers: `pyinfra inventory.py deploy.py`. This is the table of contents."""

from herd.deploys import (
    gateway,
    llama_swap,
    mac,
    models,
    packages,
    preflight,
    proxy,
    services,
    verify,
)

preflight.check()
packages.install()
gateway.key()
proxy.install()
mac.keep()
models.fit()
models.fetch()
llama_swap.configure()
services.run()
verify.serves()
gateway.run()
services.clean()
models.prune()
verify.tell()
