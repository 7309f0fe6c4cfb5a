"""When to come again (RFC 9110, 10.2.3), of each refusal that passes by itself."""

SECONDS = {
    "upstream_unavailable": "5",
    "shutting_down": "2",
    "too_many_connections": "2",
    "too_much_held": "2",
    "too_many_files": "2",
    "draining": "5",
    "model_busy": "2",
    "model_loading": "5",
    "model_not_here": "5",
}
"""By the refusal's code."""
