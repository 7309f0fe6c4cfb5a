"""Ask a Mac, parse the answer into plain dataclasses; each fact is one command, and `gathered`
sends those of many in one."""
