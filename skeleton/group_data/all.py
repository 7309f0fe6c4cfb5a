"""What is otherwise than the toolkit has it, for every Mac; for a group of inventory.py, a file of
the group's name does the same. The toolkit's docs/settings.md has every setting.
"""

# All models that every Mac serves, by the name that clients use.
models = {
    "gpt-oss-120b": {"repo": "ggml-org/gpt-oss-120b-GGUF"},
}
