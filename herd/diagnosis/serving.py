"""Whether it serves: what the stack answers, models that cannot start or come up late."""

from collections.abc import Iterator

from herd.core.mac.endpoints import llama_swap
from herd.diagnosis.finding import Finding, Patient

_TIMED_OUT = ("health check timed out", "timed out waiting")
_NO_MEMORY = ("failed to allocate", "out of memory", "outofmemory", "insufficient memory")
_NO_PORT = ("address already in use",)
_NOT_PERMITTED = ("operation not permitted",)
_CANNOT_RUN = ("no backends are loaded", "dyld[")


def complaint(patient: Patient) -> Iterator[Finding]:
    """What answers otherwise than it should."""
    settings = patient.layout.settings
    if settings.serves and (wrong := patient.served.complaint(settings.models, {})):
        log = f"`make logs` and {llama_swap(settings)}/logs on the Mac say more"
        yield Finding("not-serving", wrong, f"see the findings below; else deploy again. {log}")


def closed(patient: Patient) -> Iterator[Finding]:
    """What its owner said, and may have forgotten."""
    if patient.closed:
        yield Finding(
            "drained",
            f"it takes no new requests ({patient.closed})",
            "deploy again if a deploy has left it so; else `python -m proxy ready` ends what "
            "`drain` or `maint` began (docs/proxy.md)",
        )


def stuck(patient: Patient) -> Iterator[Finding]:
    """It answers that it is well, and does nothing."""
    if patient.symptoms.stuck:
        yield Finding(
            "no-token",
            "a model is up and gives no token, so the gateway sends nothing here",
            "`make restart ARGS=llama-swap`; `make logs ARGS=proxy` says which model",
        )


def cannot_start(patient: Patient) -> Iterator[Finding]:
    """Where a deploy sees nothing of it: the pinned one is there, and does not run."""
    told = any(
        problem.where.startswith(("package ", "llama-server")) for problem in patient.problems
    )
    if patient.server and not told:
        yield Finding(
            "llama-server-broken",
            patient.server,
            "deploy again; if that does not help, pin another release (`make pin`)",
        )


def gateway(patient: Patient) -> Iterator[Finding]:
    """What the endpoint of all Macs says of itself."""
    if patient.gateway:
        yield Finding(
            "gateway", patient.gateway, "`make start`, or deploy again; `make logs` for why"
        )


def unheard(patient: Patient) -> Iterator[Finding]:
    """Limits that are no limits of the herd meanwhile."""
    if patient.gateway or not patient.unheard:
        return
    yield Finding(
        "gateway-not-heard",
        f"a key's limits hold at each gateway; not heard: {', '.join(patient.unheard)}",
        "start it, or deploy the gateways in one run; `make logs ARGS=gateway-proxy` says why",
    )


def models(patient: Patient) -> Iterator[Finding]:
    """Those whose files are not there as locked, and those that failed last."""
    if missing := sorted(set(patient.unfit) - set(patient.served.states)):
        yield Finding(
            "model-files",
            f"files of {', '.join(missing)} are missing, or changed",
            "deploy again, or `make verify-models`",
        )
    for model in patient.layout.settings.models:
        if model in patient.served.failed and model not in patient.served.states:
            yield Finding(
                "request-failed",
                f"the last request to {model} got {patient.served.failed[model]}",
                "`make logs ARGS=llama-swap` says why it did not come up",
            )


def words_of_the_log(patient: Patient) -> Iterator[Finding]:
    """Why a model did not come up, in llama-swap's words: of those that do not run now."""
    if patient.served.states and all(s == "ready" for s in patient.served.states.values()):
        return
    for line in patient.symptoms.log:
        low = line.lower()
        if any(words in low for words in _TIMED_OUT):
            yield Finding(
                "health-check-timeout",
                line,
                "look at `memory_pressure` on the Mac, lower ctx_size, or raise "
                "llama_swap_health_timeout",
            )
        elif any(words in low for words in _NO_MEMORY):
            yield Finding(
                "out-of-memory",
                line,
                'lower ctx_size, set mlock to False, or quantise the cache: "cache_type_k": '
                '"q8_0", "cache_type_v": "q8_0"; `make fit` has the sum',
            )
        elif any(words in low for words in _NO_PORT):
            yield Finding("port-in-use", line, "`make doctor` names who holds a port of the stack")
        elif any(words in low for words in _NOT_PERMITTED):
            yield Finding(
                "not-permitted",
                line,
                "allow it under Privacy & Security > Files and Folders at the Mac's screen, or "
                "move stack_root off removable volumes",
            )
        elif any(words in low for words in _CANNOT_RUN):
            yield Finding("llama-server-broken", line, "`brew reinstall ggml llama.cpp` on the Mac")


def slow_answers(patient: Patient) -> Iterator[Finding]:
    """A model that was loaded while somebody waited, and need not have been."""
    for name, seconds, when in patient.symptoms.slow:
        model = patient.layout.settings.models.get(patient.layout.settings.named(name))
        if model and not model.preload:
            yield Finding(
                "slow-first-answer",
                f"{model.name} began to answer after {seconds:.0f} s, at {when}",
                f'normal while a model is loaded; "preload": True loads {model.name} at start',
            )


RULES = (
    *(complaint, closed, stuck, cannot_start, gateway, unheard),
    *(models, words_of_the_log, slow_answers),
)
