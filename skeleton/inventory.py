"""The herd: hosts and groups, nothing else. Settings live in group_data/."""

macs = [
    # A Mac with Remote Login on, by the name that `ssh` knows. Data beside it overrides
    # group_data/all.py for this host; models are merged, so one setting is one line:
    #
    # ("studio.local", {"ssh_user": "me", "models": {"gpt-oss-120b": {"ctx_size": 131072}}}),
]
