"""Turns Macs into LLM servers: `pyinfra inventory.py deploy.py`. This is the table of contents."""

from herd.deploys import llama_swap, models, packages, preflight, proxy, services, verify

preflight.check()
packages.install()
proxy.install()
models.fit()
models.fetch()
llama_swap.configure()
services.run()
verify.serves()
services.clean()
models.prune()
verify.tell()
