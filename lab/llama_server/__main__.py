"""A stand-in for llama-server where none is installed: it recites without computing anything.

It knows only the routes and flags that the toolkit uses, and says on stderr that it is not real.
"""

from __future__ import annotations

import sys
from pathlib import Path

# Flags that take no value; of any other the next argument is skipped, as its value.
SWITCHES = {
    *("--mlock", "--mmap", "--no-mmap", "-dio", "--direct-io", "-ndio", "--no-direct-io"),
    *("--jinja", "--no-jinja", "--metrics", "--no-webui", "--no-ui", "--no-slots", "--offline"),
    *("-kvu", "--kv-unified", "--no-context-shift", "--context-shift", "--embedding"),
    *("--embeddings", "--rerank", "--reranking"),
}

HELP = """\
----- common params -----

-h,    --help, --usage                  print usage and exit
--version                               show version and build info
-c,    --ctx-size N                     size of the prompt context (default: 0, 0 = loaded from model)
-fa,   --flash-attn [on|off|auto]       set Flash Attention use ('on', 'off', or 'auto', default: 'auto')
-ctk,  --cache-type-k TYPE              KV cache data type for K
-ctv,  --cache-type-v TYPE              KV cache data type for V
-np,   --parallel N                     number of server slots (default: -1, -1 = auto)
--mlock                                 DEPRECATED in favor of `--load-mode`: force system to keep model in
                                        RAM rather than swapping or compressing
                                        (env: LLAMA_ARG_MLOCK)
--mmap, --no-mmap                       DEPRECATED in favor of `--load-mode`: whether to memory-map model
                                        (env: LLAMA_ARG_MMAP)
-lm,   --load-mode MODE                 model loading mode (default: auto)
                                        (env: LLAMA_ARG_LOAD_MODE)
-ngl,  --gpu-layers, --n-gpu-layers N   max. number of layers to store in VRAM
-m,    --model FNAME                    model path to load
-a,    --alias STRING                   set model name aliases, comma-separated
--host HOST                             ip address to listen
--port PORT                             port to listen
--metrics                               enable prometheus compatible metrics endpoint (default: disabled)
--jinja, --no-jinja                     whether to use jinja template engine for chat (default: enabled)
--temp, --temperature N                 temperature (default: 0.80)
--chat-template JINJA_TEMPLATE          set custom jinja chat template
--chat-template-file JINJA_TEMPLATE_FILE
                                        set custom jinja chat template file
--lora FNAME                            path to LoRA adapter
--lora-scaled FNAME:SCALE,...           path to LoRA adapter with user defined scaling
--control-vector FNAME                  add a control vector
--control-vector-scaled FNAME:SCALE,...
                                        add a control vector with user defined scaling SCALE
-mm,   --mmproj FILE                    path to a multimodal projector file
--spec-draft-model, -md, --model-draft FNAME
                                        draft model for speculative decoding (default: unused)
--spec-type none,draft-simple,draft-eagle3,draft-mtp
                                        comma-separated list of types of speculative decoding to use
--pooling {none,mean,cls,last,rank}     pooling type for embeddings, use model default if unspecified
--embedding, --embeddings               restrict to only support embedding use case
--rerank, --reranking                   enable reranking endpoint on server (default: disabled)
--draft, --draft-n, --draft-max N       the argument has been removed. use --spec-draft-n-max or
                                        --spec-ngram-mod-n-max
                                        (env: LLAMA_ARG_DRAFT_MAX)
"""  # noqa: E501 - as wide as the original


def main() -> int:
    options = parse(sys.argv[1:])
    if "--help" in options:
        print(HELP, end="")
        return 0
    if "--version" in options:
        print("version: 0.0.0-stand-in (build 0, commit 0000000)", file=sys.stderr)
        return 0
    if "--list-devices" in options:
        print("Available devices:\n  (none)")
        return 0
    print("stand-in for llama-server: it recites and computes nothing", file=sys.stderr)
    model = options.get("-m") or options.get("--model") or ""
    if not Path(model).is_file():
        print(f"failed to load model, '{model}'", file=sys.stderr)
        return 1
    name = (options.get("-a") or options.get("--alias") or model).split(",")[0]
    host, port = options.get("--host", "127.0.0.1"), int(options.get("--port", "8080"))
    from lab.llama_server import stand_in  # what it imports is not for --help

    ranks = bool(options.keys() & {"--rerank", "--reranking"})
    stand_in.serve(name, host, port, embeds=ranks or "--embeddings" in options, ranks=ranks)
    return 0


def parse(arguments: list[str]) -> dict[str, str]:
    """Flags and their values; switches have an empty one."""
    options: dict[str, str] = {}
    rest = iter(arguments)
    for argument in rest:
        if argument in ("-h", "--help", "--usage"):
            options["--help"] = ""
        elif argument in ("--version", "--list-devices", *SWITCHES):
            options[argument] = ""
        elif argument.startswith("-"):
            options[argument] = next(rest, "")
        else:
            print(f"error: invalid argument: {argument}", file=sys.stderr)
            raise SystemExit(1)
    return options


if __name__ == "__main__":
    raise SystemExit(main())
