"""Which caches the layers of a model have, by its header, as llama.cpp lays them out.

What a header says is read from its own keys, for every architecture. The tables have only what
llama.cpp knows by an architecture's name (load_arch_hparams in src/models/*.cpp, create_memory in
src/llama-model.cpp, builds 10434 to 11434); docs/decisions/0022-caches-by-the-header.md says
how they are held against it.
"""

from dataclasses import dataclass

from herd.core.models.model_facts import Facts


@dataclass(frozen=True)
class Windows:
    """Sliding windows that an architecture has without its header saying all of them.

    `period`: the last of so many layers has full attention, or with `first` the first of them; 0 is
    none of them, None is what only the header tells. `size` is the window where the header has
    none, or with `always`, whatever it has.
    """

    period: int | None = None
    first: bool = False
    size: int | None = None
    always: bool = False


WINDOWS = {
    "gpt-oss": Windows(2),
    "gemma2": Windows(2, size=4096),
    **dict.fromkeys(("afmoe", "cohere2", "mellum", "muse-glimmer", "olmo2"), Windows(4)),
    **dict.fromkeys(("cohere2moe", "laguna"), Windows(4, first=True)),
    "smallthinker": Windows(4, first=True, size=4096, always=True),
    "exaone-moe": Windows(4, size=128),
    "exaone4": Windows(4, size=4096),
    "llama4": Windows(4, size=8192, always=True),
    "gemma3n": Windows(5),
    "gemma3": Windows(6),
    "plamo3": Windows(8),
    **dict.fromkeys(("lfm2", "deepseek4"), Windows(0)),
    **dict.fromkeys(("gemma4", "mimo2", "step35", "granite_swa"), Windows()),
    **dict.fromkeys(("maple", "spark2_5", "dots3note"), Windows()),
}
# No window, whatever the header says of one.
_FULL_IN_SPITE = {"phi3", "lfm2moe"}
# Full attention in every layer.
FULL = {
    *("apertus", "arcee", "arctic", "baichuan", "bailingmoe", "bailingmoe2", "bitnet", "bloom"),
    *("chameleon", "chatglm", "codeshell", "cogvlm", "command-r", "dbrx", "deci", "deepseek"),
    *("deepseek2", "deepseek2-ocr", "deepseek32", "dots1", "ernie4_5", "ernie4_5-moe", "exaone"),
    *("falcon", "gemma", "glm-dsa", "glm4", "glm4moe", "gpt2", "gptj", "gptneox", "granite"),
    *("granitemoe", "grok", "grovemoe", "hrm_text", "hunyuan-dense", "hunyuan-moe", "hunyuan_vl"),
    *(
        "hy_v3",
        "hy_v4",
        "internlm2",
        "jais",
        "jais2",
        "llama",
        "llama-embed",
        "maincoder",
        "minicpm",
    ),
    *("minicpm3", "minimax-m2", "minimax-m3", "mistral3", "mistral4", "mpt", "nanbeige"),
    *("nemotron", "olmo", "olmoe", "openelm", "orion", "paddleocr", "pangu-embedded", "phi2"),
    *("phi3", "phimoe", "plamo", "plm", "qwen", "qwen2", "qwen2moe", "qwen2vl", "qwen3"),
    *("qwen3moe", "qwen3vl", "qwen3vlmoe", "refact", "seed_oss", "smollm3", "stablelm"),
    *("starcoder", "starcoder2", "talkie", "xverse"),
}
# A recurrent state in every layer, and no attention.
RECURRENT = {"mamba", "mamba2", "rwkv6", "rwkv6qwen2", "rwkv7", "arwkv7"}
# A recurrent state in the layers that have no heads of keys, attention in the others.
BY_HEADS = {
    *("jamba", "plamo2", "granitehybrid", "lfm2", "lfm2moe", "kimi-linear", "kimi-k3"),
    *("bailingmoe3", "glm5-next", "nemotron_h", "nemotron_h_moe"),
}
# Attention in the last of every so many layers, where the header has no full_attention_interval.
BY_INTERVAL = {"qwen3next": 4, "qwen35": 4, "qwen35moe": 4, "qwen4exp": 4, "minimax-01": 8}
# Both in every layer.
BOTH = {"falcon-h1"}
# No cache at all: they read a text at once.
NONE = {
    *("bert", "modern-bert", "nomic-bert", "nomic-bert-moe", "neo-bert", "jina-bert-v2"),
    *("jina-bert-v3", "eurobert", "gemma-embedding", "wavtokenizer-dec", "dream", "llada"),
    *("llada-moe", "rnd1", "clef", "t5encoder"),
    "gemma4-assistant",  # drafts by the caches of its model
}
# Layers at the start that have caches of their own, which the others share (gemma3n.cpp).
_FIRST_OWN = {"gemma3n": 20}
# Which keys of a state an architecture reads; of one that is unknown here, all.
_NO_GROUPS = {"mamba", "jamba"}
_SHORT_CONVOLUTION = {"lfm2", "lfm2moe"}
_KDA = {"kimi-linear", "kimi-k3", "bailingmoe3", "glm5-next"}
# Keys of an index in a cell: qwen4exp and glm5-next keep pooled ones beside them.
_INDEXED = {
    **dict.fromkeys(("deepseek32", "glm-dsa", "minimax-m3", "hy_v4", "dots3note"), 1),
    **{"qwen4exp": 2, "glm5-next": 3},
}


def is_known(architecture: str) -> bool:
    """Whether its caches are those of llama.cpp, or an upper estimate."""
    hybrid = BY_HEADS | BY_INTERVAL.keys() | BOTH | RECURRENT
    return architecture in FULL | NONE | WINDOWS.keys() | hybrid


def layer_count(facts: Facts) -> int:
    """Layers with caches; nanbeige goes through its own several times."""
    if facts.block_count is None:
        raise ValueError("its GGUF header has no block_count, so its memory cannot be told")
    return facts.block_count * max(facts.num_loops or 1, 1)


def predicting(facts: Facts) -> Facts | None:
    """The layers that predict further tokens (MTP), as a model of their own; None without any.

    Whatever the others do, these attend to all (llama-model.cpp, LLAMA_CONTEXT_TYPE_MTP).
    """
    count = facts.nextn_predict_layers
    if not count or not facts.block_count or facts.architecture in NONE:
        return None
    last = facts.block_count - 1
    return Facts(
        architecture="llama",
        block_count=count,
        context_length=facts.context_length,
        embedding_length=facts.embedding_length,
        vocab_size=facts.vocab_size,
        head_count=at(facts.head_count, last),
        head_count_kv=groups(facts, last),
        key_length=facts.key_length,
        value_length=facts.value_length,
        key_length_mla=facts.key_length_mla,
        value_length_mla=facts.value_length_mla,
        complete=facts.complete,
    )


def window(facts: Facts) -> int:
    """Tokens that a sliding layer sees; 0 where none slides."""
    name, said = facts.architecture, facts.sliding_window
    known = WINDOWS.get(name)
    if name in FULL | _FULL_IN_SPITE or (name == "exaone4" and facts.block_count != 64):
        return 0
    if known is None:
        return said or 0
    if said == 0 or (name == "smallthinker" and said is None):
        return 0
    return (known.size if known.always else said or known.size) or 0


def slides(facts: Facts) -> list[bool]:
    """Whether each layer has a sliding window."""
    count, pattern = layer_count(facts), facts.sliding_window_pattern
    if not window(facts):
        return [False] * count
    if facts.architecture in ("lfm2", "deepseek4"):
        return [not recurrent for recurrent in recurs(facts)]
    if isinstance(pattern, list):
        return [*pattern, *[False] * count][:count]
    known = WINDOWS.get(facts.architecture, Windows())
    period = known.period if pattern is None else pattern
    if period is None or (facts.architecture not in WINDOWS and pattern is None):
        return [False] * count
    # llama_hparams::set_swa_pattern: 0 is always; layers that only predict have no window.
    full = 0 if known.first else period - 1
    trunk = count - min(facts.nextn_predict_layers or 0, count)
    return [layer < trunk and (period == 0 or layer % period != full) for layer in range(count)]


def recurs(facts: Facts) -> list[bool]:
    """Whether each layer has a recurrent state."""
    name, count = facts.architecture, layer_count(facts)
    if name in RECURRENT | BOTH:
        return [True] * count
    if name in BY_INTERVAL:
        if (said := facts.recurrent_layers) is not None:
            return [bool(at(said, layer)) for layer in range(count)]
        interval = facts.full_attention_interval or BY_INTERVAL[name]
        trunk = count - (facts.nextn_predict_layers or 0)
        return [layer < trunk and bool((layer + 1) % interval) for layer in range(count)]
    if name in BY_HEADS:
        dense = name.startswith("nemotron_h")
        return [
            groups(facts, layer) == 0 and not (dense and at(facts.feed_forward_length, layer))
            for layer in range(count)
        ]
    # Of an architecture that is unknown here, wherever there may be one.
    return [not is_known(name) and bool(facts.ssm_inner_size or facts.wkv_head_size)] * count


def attends(facts: Facts) -> list[bool]:
    """Whether each layer has a KV cache of its own."""
    name, count = facts.architecture, layer_count(facts)
    if name in RECURRENT | NONE:
        return [False] * count
    own = count
    if name in _FIRST_OWN:
        own = min(_FIRST_OWN[name], count)
    elif facts.shared_kv_layers and (name == "gemma4" or not is_known(name)):
        own = count - facts.shared_kv_layers
    both = name in BOTH or not is_known(name)
    # The layers that only predict are not among those of a hybrid's cache.
    trunk = count - (facts.nextn_predict_layers or 0) if name in BY_INTERVAL else count
    return [
        layer < min(own, trunk)
        and (both or not recurrent)
        and not (name.startswith("nemotron_h") and at(facts.feed_forward_length, layer))
        for layer, recurrent in enumerate(recurs(facts))
    ]


def groups(facts: Facts, layer: int) -> int:
    """Heads of keys and values of a layer."""
    own = layer % (facts.block_count or 1)
    return at(facts.head_count if facts.head_count_kv is None else facts.head_count_kv, own)


def at(value: int | list[int] | None, layer: int) -> int:
    """What holds for a layer of what may differ between them; 0 where nothing is said."""
    if isinstance(value, list):
        return value[layer] if layer < len(value) else max(value, default=0)
    return value or 0


def compressed(facts: Facts) -> dict[int, list[int]]:
    """By ratio, the layers whose cells stand for so many tokens (DeepSeek V4)."""
    found: dict[int, list[int]] = {}
    if facts.architecture == "deepseek4":
        for layer in range(layer_count(facts)):
            if ratio := at(facts.compress_ratios, layer):
                found.setdefault(ratio, []).append(layer)
    return found


def compressed_index(facts: Facts, ratio: int) -> int:
    """Values of a cell's index, which layers of the ratio 4 have (llama-kv-cache-dsv4.cpp)."""
    return (facts.indexer_key_length or 0) if ratio == 4 else 0


def indexes(facts: Facts) -> list[tuple[int, int]]:
    """Of each layer, values of a cell of its index, for keys and for values, which sparse attention
    has beside the cache."""
    name, size = facts.architecture, facts.indexer_key_length or 0
    count = layer_count(facts)
    if name not in _INDEXED or not size or (name == "hy_v4" and facts.indexer_top_k == 0):
        return []
    trunk = count - (facts.nextn_predict_layers or 0)
    pair = (size * _INDEXED[name], 0)
    skipped = [False] * count
    if name == "minimax-m3":
        heads = max(at(facts.head_count, 0), 1)
        pair = (size, facts.value_length or (facts.embedding_length or 0) // heads)
        skipped = [layer < (facts.leading_dense_block_count or 0) for layer in range(count)]
    elif name in ("qwen4exp", "glm5-next"):
        skipped = recurs(facts)
    elif name != "deepseek32" and facts.indexer_types is not None:
        skipped = [not at(facts.indexer_types, layer) for layer in range(count)]
    return [pair for layer in range(trunk) if not skipped[layer]]


def states(facts: Facts) -> int:
    """Bytes of one slot's recurrent state, in all layers."""
    if facts.architecture != "deepseek4":
        return state(facts) * sum(recurs(facts))
    head, total = facts.key_length or 0, 0
    for ratio, layers in compressed(facts).items():
        # Two sums of each, of twice as many where the windows overlap.
        each = (
            2 * ratio * 2 * (head + compressed_index(facts, ratio)) if ratio == 4 else ratio * head
        )
        total += 2 * 4 * each * len(layers)
    return total


def state(facts: Facts) -> int:
    """Bytes of a layer's recurrent state for one slot, in f32 (n_embd_r and n_embd_s of
    llama-hparams.cpp)."""
    name, width = facts.architecture, facts.embedding_length or 0
    unknown = not is_known(name)
    heads = at(facts.head_count, 0)
    kernel = facts.ssm_conv_kernel or 0
    if (head := facts.wkv_head_size or 0) and (unknown or name in RECURRENT):
        shifts = 2 if facts.token_shift_count is None else facts.token_shift_count
        return 4 * (shifts * width + width * head)
    if (length := facts.shortconv_l_cache or 0) and (unknown or name in _SHORT_CONVOLUTION):
        return 4 * width * (length - 1)
    if (head := facts.kda_head_dim or 0) and (unknown or name in _KDA):
        return 4 * heads * head * (3 * (kernel - 1 if kernel else 3) + head)
    if name == "minimax-01":
        head = facts.key_length or width // max(heads, 1)
        return 4 * heads * head * head
    inner, size = facts.ssm_inner_size or 0, facts.ssm_state_size or 0
    count = 0 if name in _NO_GROUPS else facts.ssm_group_count or 0
    return 4 * (max(kernel - 1, 0) * (inner + 2 * count * size) + size * inner)
