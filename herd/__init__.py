"""Llama Herd: declares LLM servers on Macs, and makes them so with pyinfra.

Layers, each using only those below it:

    __main__     the command line of the verbs
    verbs        what a person does between deploys: status, chat, render, …
    diagnosis    what is wrong with a Mac: findings out of what was gathered of it, pure
    checks       what could be wrong with a change before a deploy, a concern each
    deploys      the steps of deploy.py: read host.data, call operations
    connections  what happens before and upon one; those of the verbs
    operations   take arguments, compare with facts, yield commands
    render       every file of every host, without a connection
    plan         what is wanted of all hosts, checked together
    facts        ask a Mac, parse the answer
    workstation  keys, a certificate, models.lock, the Hub, the toolkit: what is here, and asked
    make_arguments  a command with the words of ARGS, for the Makefile
    core         pure: no I/O beyond our own templates and scripts, no pyinfra

`scripts/` are the POSIX sh programs that run on the Mac, with arguments and nothing pasted in:
those in `look/` change nothing.
"""
