"""Models: files and their lock, GGUF headers, memory and whether it suffices, sharing."""
