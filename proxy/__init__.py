"""The auth proxy: checks who a request is from and what it may do, then streams it to llama-swap.

A separate program: aiohttp's parser, uvloop, prometheus_client and the standard library; it imports
nothing of the rest of the repository, and nothing there needs it to run. Two halves, which know
each other only by `exchange`: the engine speaks HTTP and moves bytes, the policy decides and keeps
the books. In each list, lower modules may import upper ones, not the reverse.

- `exchange`  what engine and policy say to each other about one request; types only

The policy:

- `origins`    which pages and apps of other origins may use the proxy; pure
- `keyring`    what a key is and may do, and how the key of a request is found; pure
- `weakness`   which keys could be guessed or not be sent; pure
- `media`      where a body names media by a URL; pure
- `entry`      one entry of config.json's `apiKeys`, with all its faults; pure
- `keys`       what config.json and API_KEYS may say about keys, and a fresh one; pure
- `grants`     keys of another file, which open model files and nothing else
- `keystore`   the keys in force: read at the start, and again when the file changes
- `endings`    how whole event streams end; pure
- `routes`     what is reachable, and for which scope; pure
- `dialect`    errors as OpenAI's and Anthropic's clients read them; pure
- `nearby`     what is said where nothing is: mostly a base URL is wrong; pure
- `listing`    the models that a key may use, as both kinds of clients read them; pure
- `cors`       what pages of other web origins may do; pure
- `limits`     how much each name may ask for; pure
- `tokens`     tokens of an answer, read in passing; pure
- `login`      sessions of browsers, and which requests may act by them; pure
- `usage`      the books per day, key and model, in SQLite
- `metrics`    what Prometheus may ask for
- `accesslog`  one line for each request
- `ticket`     running requests, charged while they run and at their end
- `ranges`     which part of a file is asked for; pure
- `shelf`      which model files are whole on this Mac, and which are under way
- `files`      those, for the other Macs of a site
- `standing`   whether what was let in may still go on; pure
- `handlers`   what is answered here and not by llama-swap
- `credential` the key that a request shows; pure
- `identity`   who a request is from: its key, or the session of a browser
- `policy`     the order in which a request meets the above

The engine:

- `headers`    which headers of a request pass, and which requests are none; pure
- `refusal`    why a request is refused for what it says; pure
- `mediatype`  Content-Type and Content-Disposition; pure
- `coding`     a body's Content-Encoding, undone as it comes; pure
- `walker`, `jsonbody`, `multipart`, `model`   a body's one meaning, in what goes up; pure
- `holdings`   how much is held of bodies; pure
- `patience`   how long a client may keep its answer waiting; pure
- `turns`      long work in slices, between which tokens pass
- `malformed`  what is said of a head that cannot be read; pure
- `chunks`, `answer`, `parser`       how bytes on a connection become messages; pure
- `listening`  the sockets that take connections
- `wire`       the flow of a connection, and how it ends
- `sendfile`   files on their way to clients
- `upstreamkey`                      what llama-swap asks of this proxy
- `upstream`, `pool`                 connections to llama-swap, kept and used again
- `parts`      what the modules below need of those that import them; types only
- `errors`     llama-swap's errors, held back to be told in another dialect
- `relay`, `forward`                 the answer's way down, the request's way up
- `local`      requests that are answered here
- `transaction`                      one request and its answer, whoever gives it
- `client`     one connection of a client, request after request
- `handshake`  the same before there is TLS on it
- `engine`     all of them, and the limits they share

The program:

- `log`        where the log goes
- `tls`        a certificate, taken anew when it was renewed
- `app`        settings, and the engine they make
- `server`     the event loop, signals and the orderly end
- `commands`   what serves nothing: `keys new` and `usage`
- `__main__`   the command line
"""
