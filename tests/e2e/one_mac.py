"""Modules whose tests leave a Mac as they found it: one is deployed for them all.

What is tested there is a Mac as the defaults make one: how it is seen, asked, stopped and started,
and what a change touches. So each of their tests begins with the stack running or starts it, and
puts back what it broke or changed.
"""

MODULES = ("deploy", "fit", "infra", "one_question", "render", "swap_key", "top", "verbs")
NAMES = {f"tests.e2e.test_{name}" for name in MODULES}


def scope_of(path: str) -> str:
    """What is run by one worker: the module at a path, or all of these."""
    return __name__ if path.removesuffix(".py").replace("/", ".") in NAMES else path
