"""The auth proxy: checks the key of a request, then streams it to llama-swap and back.

A separate program: aiohttp and the standard library only; it imports nothing of the rest of the
repository, and nothing there needs it to run. Lower lines may import upper ones, not the reverse:

- `keys`      what a key is, and what config.json may say about keys; pure
- `keystore`  the keys in force: read at the start, and again when the file changes
- `headers`   which headers pass, and what a request's credential is; pure
- `errors`    refusals, and how they reach the client: in the shape of OpenAI's errors
- `log`       one line per request, and no line that could hold a key or a prompt
- `drain`     knows the open requests, and refuses new ones when the program is about to end
- `auth`      the key check, before anything else is read or answered
- `forward`   the pass-through: opens llama-swap, streams both ways
- `app`       `create_app(settings)`: the routes, and the order in which a request meets the above
- `server`    the listening socket, signals and the orderly end
- `__main__`  the command line
"""
