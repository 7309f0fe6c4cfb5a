"""Llama Herd: declares LLM servers on Macs, and makes them so with pyinfra.

Layers, each using only those below it:

    __main__     the command line of the verbs
    verbs        what a person does between deploys: status, chat, logs, …
    review       what is done with a change before a deploy: render, compare, check
    checks       what could be wrong with it, a concern each
    remote       connections for the verbs
    deploys      the steps of deploy.py: read host.data, call operations
    hooks        what happens before and upon a connection: settings check, TCP_NODELAY
    operations   take arguments, compare with facts, yield commands
    changes      what a deploy would write otherwise than at another commit
    rendering    every file of every host, without a connection
    plan         what is wanted of all hosts, checked together
    facts        ask a Mac, parse the answer
    locks        models.lock beside the inventory: read, checked, made
    hub, chat    ask Hugging Face, ask an endpoint, from the workstation
    newkey       makes an API key
    words        a command with the words of ARGS, for the Makefile
    keys, tls    what the workstation has for a proxy: API keys, a certificate
    core         pure: no I/O beyond our own templates and scripts, no pyinfra

`scripts/` are the POSIX sh programs that run on the Mac, with arguments and nothing pasted in.
"""
