"""What the gateways of one herd tell each other, so that a key's limits hold over all of them.

Each asks each other one, at its own port and with its own key, and is answered when there is
something to tell: so it is known within milliseconds, no client's request waits for it, and one
that is dark costs a try a second. The counting itself is `keys.shared_limits`.
"""
