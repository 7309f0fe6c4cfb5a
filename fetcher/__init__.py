"""The fetcher: fetches models' files, verifies them and puts them in place; runs on the Mac.

A separate program, `PYTHON fetcher.pyz` inside an SSH session, with one JSON document on stdin
(see `spec`): aiohttp, uvloop and the standard library; it imports nothing of the rest of the
repository. Files come from the Hub or from other Macs, each byte once from the Hub where that can
be, and no file gets its name before its SHA-256 is right. Lower modules may import upper ones.

What is known, without I/O:

- `errors`       what ends a model's way
- `names`        which names files may have
- `spec`         the document on stdin, with all its faults
- `fit_spec`     the same of `fit`
- `gguf_header`  where the header of a model's file ends
- `ranges`       which bytes of a file are there
- `peer_list`    what another Mac says that it has
- `who_fetches`  who of several Macs fetches a file, from whom
- `slowness`     whether a file comes slower than the Hub would give it
- `pace`         how fast bytes come of late

On disk:

- `no_links`     files below a model's directory, by no link
- `receipts`     what was verified, and who put it there
- `pieces`       the unfinished file and its journal
- `mutex`        one run per directory at a time
- `hashing`      SHA-256 in threads
- `item`         one file on its way: its states, and the names beside its place
- `put_in_place` how a file gets its name: what is there, what was hashed, the switch

On the network:

- `rate_limit`   how long a server wants to be left alone
- `receiving`    bytes of an answer on their way to a file, and how that goes wrong
- `hub`          one range of the Hub
- `hub_client`   the Hub's own client, for what plain HTTP does not give
- `peers`        what other Macs have, and one range of one of them

The program:

- `progress`     lines for a person
- `work`         one model of the run, and how far it is
- `transfer`     which bytes are fetched next, from where, over which connection
- `run`          the order of it all
- `skeleton`     a model's file with its header only
- `fit`          what llama.cpp says that models take of memory
- `__main__`     stdin, signals, the exit code
"""
