"""Whether this Mac takes requests: its owner's word, what is found out, and who is told.

`readiness` is all of it together. `availability` is the owner's word and its file, `control` the
socket by which commands ask and `control_client` who asks by it, `agent_listener` where HAProxy
asks, and is told in a line, `forward_progress` the watchdog over models that are up and give no
token, `llama_server_slots` what llama-server says of its work.
Imports `engine`, for sockets.
"""
