"""HTTP on sockets: connections of clients and to llama-swap, and the bytes between them.

Knows a policy by `exchange` only. From a socket inwards: `listening_sockets`, `tls_handshake`,
`client_connection`, `transaction` (one request and its answer), `request_forwarding` (the way up),
`response_relay` (the way down) or `local_response`, `upstream_pool`, `upstream_connection`.
`engine` is what they share, `protocols` what a module needs of those that import it.
Imports `http` and `body`.
"""
