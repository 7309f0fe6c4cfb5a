"""Ask a Mac, parse the answer into plain dataclasses; each fact is one remote command."""
