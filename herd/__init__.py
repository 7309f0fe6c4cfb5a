"""Llama Herd: declares LLM servers on Macs, and makes them so with pyinfra.

Layers, each using only those below it:

    __main__     the verbs (status, chat, logs, …) for people
    hooks        what pyinfra calls around a connection: settings check, TCP_NODELAY
    deploys      read host.data, call operations: one file per line of deploy.py
    operations   take arguments, compare with facts, yield commands
    facts        ask a Mac, parse the answer
    hub          asks Hugging Face, from the workstation
    core         pure: no I/O beyond our own templates and scripts, no pyinfra

`scripts/` are the POSIX sh programs that run on the Mac, with arguments and nothing pasted in.
"""
