"""What a GGUF file is, by its header: names are anybody's, and say something else too often."""

from enum import StrEnum

from herd.core.models.gguf import Header


class Kind(StrEnum):
    """In words, with their article."""

    MODEL = "a model"
    PROJECTOR = "a projector"
    DRAFT = "a draft head"
    LORA = "a LoRA adapter"
    CONTROL_VECTOR = "a control vector"
    IMATRIX = "an importance matrix"
    DIFFUSION = "a diffusion model, which llama-server cannot serve"
    VOCODER = "a vocoder"
    VOCABULARY = "a vocabulary without weights"
    OTHER = "no model of language"


# Heads that cannot answer without the model that they draft for (src/llama-arch.cpp).
_HEADS = {"eagle3", "dflash", "medusa"}
# Language by diffusion: they have no KV cache, which llama-server's slots are made of
# (llama_model::create_memory), so only llama-diffusion-cli runs them.
_DIFFUSED_TEXT = {"dream", "llada", "llada-moe", "rnd1"}
# Pictures, films and sound: what is published as GGUF for ComfyUI and stable-diffusion.cpp.
_PICTURES = {
    *("flux", "flux2", "sd1", "sd2", "sd3", "sdxl", "aura", "ltxv", "hyvid", "hunyuan_video"),
    *("wan", "hidream", "cosmos", "lumina2", "qwen_image", "pixart", "chroma", "z_image"),
}


def kind_of(header: Header) -> Kind:
    """By `general.type` and `general.architecture`, as llama.cpp's converters write them."""
    said, architecture = header.keys.get("general.type"), header.architecture
    if said == "imatrix" or "imatrix.chunk_count" in header.keys:
        return Kind.IMATRIX
    if architecture == "controlvector":
        return Kind.CONTROL_VECTOR
    if said == "adapter" or "adapter.type" in header.keys:
        return Kind.LORA
    if said == "mmproj" or architecture == "clip":
        return Kind.PROJECTOR
    if said == "vocab":
        return Kind.VOCABULARY
    if architecture.startswith("wavtokenizer"):
        return Kind.VOCODER
    is_diffused = any(key.startswith("diffusion.") for key in header.keys)
    if architecture in _DIFFUSED_TEXT | _PICTURES or is_diffused:
        return Kind.DIFFUSION
    if architecture in _HEADS or architecture.endswith("-assistant") or _is_head(header):
        return Kind.DRAFT
    # Every architecture of llama.cpp has it, and none of other programs.
    return Kind.MODEL if header.own("block_count") is not None else Kind.OTHER


def _is_head(header: Header) -> bool:
    """Whether it holds what predicts further tokens (MTP), and no layers of the model itself: a
    layer has several tensors. Converters give both the same keys."""
    heads, layers = header.own("nextn_predict_layers"), header.own("block_count")
    if not isinstance(heads, int) or not isinstance(layers, int) or not heads:
        return False
    tensors = header.keys.get("split.tensors.count") or header.tensors
    return heads >= layers or 0 < tensors < layers


def in_words(kind: Kind, header: Header) -> str:
    """What a file is, for a person: `a projector (clip, F16)`."""
    parts = [part for part in (header.architecture, header.quantisation) if part]
    return f"{kind} ({', '.join(parts)})" if parts else str(kind)
