"""Keys: what config.json says of them, what each may do and how much, and which a request shows.

All of a key's rules are here: its scopes and models in `key`, its limits per minute and day in
`rate_limits`. `store` alone reads files anew; the rest is pure. Imports `body`, for media URLs.
"""
