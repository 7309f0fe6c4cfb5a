"""Deliberate breakages of a deployed Mac, and which check of tests/infra names each."""

from dataclasses import dataclass

from tests.e2e.breaking import (
    LLAMA_SWAP,
    PROXY,
    Break,
    at,
    content,
    crashing,
    fake,
    gone,
    job_of_an_earlier_deploy,
    last_split,
    listening_on,
    loaded_otherwise,
    mode,
    model,
    more,
    old_release,
    owner,
    plist,
    proxy_code,
    receipt,
    stray,
    truncated,
    uninstalled,
    unloaded,
    without_watch,
)
from tests.e2e.fleet import KEY


@dataclass(frozen=True)
class Breakage:
    """What is broken, which check names it with which words, and which further ones it fails."""

    breaks: Break
    check: str
    words: str
    follows: frozenset[str] = frozenset()


CLIENTS = frozenset(
    {
        "without_a_key_nobody_is_let_in",
        "with_a_key_one_is_let_in",
        "the_key_sees_exactly_its_models",
        "a_completion_streams",
    }
)
PORTS = frozenset({"ports_are_bound_to_their_addresses_only", "ports_are_held_by_their_jobs"})
HOLD, MODES, DIRECTORIES, PRIVATE, MODELS, LOADED, DEFINED, BOUND, HELD = (
    "files_hold_what_was_declared",
    "files_have_their_modes_and_owners",
    "directories_belong_to_the_user_and_nobody_else_writes_there",
    "logs_and_books_are_for_their_owner_only",
    "model_files_are_whole_and_verified",
    "jobs_are_loaded_and_run",
    "jobs_have_the_declared_definition",
    "ports_are_bound_to_their_addresses_only",
    "ports_are_held_by_their_jobs",
)
LISTED = "exactly_the_declared_models_are_listed"


FAST = {
    "keys readable by others": Breakage(
        mode(at("config.json"), 0o644), MODES, "config.json\n    Its mode is 644, not 600. Others"
    ),
    "proxy not loaded": Breakage(
        unloaded(PROXY), LOADED, f"job {PROXY}\n    It is not loaded.", CLIENTS | PORTS
    ),
    "llama-swap open to the network": Breakage(
        loaded_otherwise(LLAMA_SWAP, listening_on("0.0.0.0", "llama_swap")),
        BOUND,
        "(llama_swap_port)\n    It is bound to *, not to 127.0.0.1.",
        frozenset({DEFINED}),
    ),
    "proxy that asks for no key": Breakage(
        fake("--open"),
        "without_a_key_nobody_is_let_in",
        "Without a key it answers HTTP 200, not 401.",
        frozenset({LOADED, HELD}),
    ),
    "stream in one piece": Breakage(
        fake("--whole"),
        "a_completion_streams",
        "The answer came in one piece: 64 tokens within",
        frozenset({LOADED, HELD}),
    ),
    "model file truncated": Breakage(truncated, MODELS, "bytes, not"),
}

SLOW = {
    "package uninstalled": Breakage(
        uninstalled, "packages_are_installed_and_linked", "package hf\n    It is not installed."
    ),
    "config.yaml edited": Breakage(
        content(at("config.yaml"), lambda text: text.replace("logLevel: info", "logLevel: warn")),
        HOLD,
        "config.yaml\n    It holds something else.",
    ),
    "plist edited": Breakage(
        content(plist(PROXY), lambda text: text.replace("Interactive", "Background")),
        HOLD,
        "proxy.plist\n    It holds something else.",
    ),
    "plist of another mode": Breakage(
        mode(plist(LLAMA_SWAP), 0o664), MODES, "llama-swap.plist\n    Its mode is 664, not 644."
    ),
    "plist removed": Breakage(
        gone(plist(LLAMA_SWAP)), HOLD, "llama-swap.plist\n    There is no such file."
    ),
    "start.command not executable": Breakage(
        mode(at("start.command"), 0o644), MODES, "start.command\n    Its mode is 644, not 755."
    ),
    "other keys": Breakage(
        content(at("config.json"), lambda text: text.replace(KEY, "sk-of-another-0123456789")),
        "with_a_key_one_is_let_in",
        "it answers HTTP 401, not 200",
        frozenset({HOLD, "the_key_sees_exactly_its_models", "a_completion_streams"}),
    ),
    "log readable by others": Breakage(
        mode(at("proxy.log"), 0o644), PRIVATE, "proxy.log\n    Others can read it: mode 644."
    ),
    "books readable by others": Breakage(
        mode(at("usage.db"), 0o640), PRIVATE, "usage.db\n    Others can read it: mode 640."
    ),
    "certificate's key left behind": Breakage(
        more(at("proxy", "tls-key.pem"), lambda _: b"a key"),
        HOLD,
        "tls-key.pem\n    It is there, though no certificate is declared.",
    ),
    "models of another user": Breakage(
        owner(at("models")), DIRECTORIES, "models\n    It is root's, not tester's."
    ),
    "root open to the group": Breakage(
        mode(at(), 0o775), DIRECTORIES, "llama-swap\n    Others can write there: mode 775."
    ),
    "proxy's code edited": Breakage(
        content(proxy_code, lambda text: f"{text}\n# by hand\n"),
        "code_of_the_proxy_is_that_of_this_toolkit",
        "__main__.py\n    It is not as this toolkit has it.",
    ),
    "receipt gone": Breakage(gone(receipt), MODELS, "It was never verified, or has changed since."),
    "model file gone": Breakage(gone(last_split), MODELS, ".gguf\n    There is no such file."),
    "model not listed": Breakage(
        model(lambda models: models.update({"recite-2": models.pop("recite")})),
        LISTED,
        "It does not list recite. It lists recite-2, which is not declared.",
        frozenset({HOLD, "a_completion_streams"}),
    ),
    "model too many": Breakage(
        model(lambda models: models.update({"recite-2": models["recite"]})),
        LISTED,
        "It lists recite-2, which is not declared.",
        frozenset({HOLD}),
    ),
    "llama-swap not loaded": Breakage(
        unloaded(LLAMA_SWAP),
        LOADED,
        f"job {LLAMA_SWAP}\n    It is not loaded.",
        PORTS
        | {"with_a_key_one_is_let_in", "the_key_sees_exactly_its_models"}
        | {"a_completion_streams", LISTED},
    ),
    "llama-swap with other arguments": Breakage(
        loaded_otherwise(LLAMA_SWAP, without_watch), DEFINED, f"job {LLAMA_SWAP}\n    launchd has"
    ),
    "proxy on loopback only": Breakage(
        loaded_otherwise(PROXY, listening_on("127.0.0.1", "proxy")),
        BOUND,
        "(proxy_port)\n    It is bound to 127.0.0.1, not to *.",
        frozenset({DEFINED}),
    ),
    "proxy of an old release": Breakage(old_release, DEFINED, "release-00000000, not /"),
    "proxy that crashes": Breakage(
        crashing, LOADED, f"job {PROXY}\n    It does not run:", CLIENTS | PORTS | {HOLD}
    ),
    "job of an earlier deploy": Breakage(
        job_of_an_earlier_deploy, "there_is_no_other_job_of_this_stack", "job com.example.old"
    ),
    "stray llama-server": Breakage(
        stray, "nothing_else_of_the_stack_listens", "no llama-swap started it"
    ),
}
