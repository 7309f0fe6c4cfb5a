"""The auth proxy: checks who a request is from and what it may do, then streams it to llama-swap.

A separate program: aiohttp's parser, uvloop, prometheus_client and the standard library; it imports
nothing of the rest of the repository, and nothing there needs it to run. Two halves, which know
each other only by `exchange`: the engine speaks HTTP and moves bytes, the policy decides and keeps
the books. Each folder may import those below it, and `exchange`; no module imports in a circle.

    __main__       the command line: `serve`, `keys new`, `usage`, `drain`, `maint`, `ready` …
    options        those of `serve`
    serve_command  the proxy that they make
    server         the event loop, signals, the orderly end
    commands       what serves nothing, and imports nothing that does
    app            settings, and the engine they make
    policy         who may do what, and what is answered here
    accounting     tokens, books, metrics, the access log
    model_files    verified model files, for other Macs
    readiness      whether requests are taken, and who is told
    gateways       what gateways of one herd tell each other of keys' limits
    engine         connections, and the bytes between them
    keys           keys: entries, scopes, limits, which one a request shows
    body           the one meaning of a request's body
    http           heads, framing, media types, codings, ranges
    certificate, log, log_rotation
    exchange       what engine and policy say to each other about one request; types only
    limits         what the engine bounds: times, sizes, numbers
"""
