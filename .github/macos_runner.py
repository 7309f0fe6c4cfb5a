"""The CI runner itself, as the one Mac of a fleet."""

macs = [
    (
        "@local",
        {
            "models": {
                "gpt-oss-120b": None,
                "recite": {"repo": "lab/recite-GGUF", "ctx_size": 512},
            },
            "preflight_memory_reserve_gb": 1,
        },
    )
]
