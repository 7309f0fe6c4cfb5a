"""Extra arguments that would break the chain, leak, or be no arguments of llama-server."""

import pytest

from herd.core.settings.extra_args import complaints

BREAKING = {
    "a key": (["--api-key", "sk-1"], "--api-key, which shows a key to everybody"),
    "a key with an underscore": (["--api_key", "sk-1"], "--api-key, which shows a key"),
    "a file of keys": (["--api-key-file", "/k"], "shows a key"),
    "a token": (["-hft", "hf_1"], "HF_TOKEN"),
    "a repository": (["-hf", "a/b:Q4_K_M"], "models.lock"),
    "a repository by its long name": (["--hf-repo", "a/b"], "models.lock"),
    "a draft's repository": (["-hfd", "a/b"], "models.lock"),
    "a draft's repository by its new name": (["--spec-draft-hf", "a/b"], "models.lock"),
    "a file of a repository": (["-hff", "m.gguf"], "models.lock"),
    "a vocoder's repository": (["-hfrv", "a/b"], "models.lock"),
    "an address": (["-mu", "https://h/m.gguf"], "models.lock"),
    "a projector's address": (["--mmproj-url", "https://h/m"], "models.lock"),
    "Docker's hub": (["--docker-repo", "gemma3"], "models.lock"),
    "a preset that downloads": (["--gpt-oss-20b-default"], "models.lock"),
    "one with a dot": (["--fim-qwen-1.5b-default"], "models.lock"),
    "one with its draft": (["--fim-qwen-7b-spec"], "models.lock"),
    "a preset that is yet to come": (["--tts-next-9b-default"], "models.lock"),
    "TLS": (["--ssl-key-file", "/k.pem"], "plain HTTP"),
    "a prefix": (["--api-prefix", "/llm"], "does not find it"),
    "a router": (["--models-dir", "/m"], "a router"),
    "a router's switch": (["--no-models-autoload"], "a router"),
    "a shared port": (["--reuse-port"], "take its requests"),
    "files of the Mac": (["--path", "/Users/me"], "read files"),
    "media of the Mac": (["--media-path", "/Users/me"], "read files"),
    "tools": (["--tools", "all"], "run tools"),
    "an agent": (["-ag"], "run tools"),
    "servers of tools": (["--mcp-servers-json", "{}"], "run tools"),
    "a way around CORS": (["--webui-mcp-proxy"], "run tools"),
    "other origins": (["--cors-origins", "*"], "proxy_allow_origins"),
    "prompts in a directory": (["--log-prompts-dir", "/tmp"], "what people ask"),
    "prompts in a file": (["--log-file", "/tmp/l"], "what people ask"),
    "a version": (["--version"], "no model is served"),
    "another port": (["--port", "1"], "llama_server_start_port"),
    "an owned flag with an underscore": (["--ctx_size", "1"], "--ctx-size, which ctx_size sets"),
    "a value behind =": (["--temp=0.7"], 'two strings, "--temp", "0.7"'),
    "a short flag with =": (["-t=8"], '"-t", "8"'),
    "two in one string": (["--temp 0.7"], "'--temp 0.7' is one string: write two strings, \"--te"),
    "two in one string, further on": (["--jinja", "-t  8"], 'write two strings, "-t", "8"'),
    "a refused one in one string": (["--api-key sk-1"], "shows a key"),
    "a blank behind": (["--jinja "], "without the blanks"),
    "a blank before": ([" --jinja"], 'without the blanks, "--jinja"'),
    "a dash of prose": (["—temp", "0.7"], 'write "--temp"'),
    "a home directory": (["--lora", "~/l.gguf"], "expands no ~: write the whole path"),
    "a flag twice": (
        ["--lora", "a", "--lora", "b"],
        "--lora twice, of which llama-server",
    ),
    "a flag and once more": (["--no_host", "--no-host"], "holds --no-host twice"),
    "on and off": (["--jinja", "--no-jinja"], "holds both --jinja and --no-jinja"),
    "Python for JSON": (["--chat-template-kwargs", "{'thinking': False}"], "what is no JSON"),
    "no schema": (["-j", ""], "holds -j with what is no JSON"),
    "a value alone": (["0.7"], "begins with '0.7', which is no flag"),
}


@pytest.mark.parametrize(("words", "told"), BREAKING.values(), ids=BREAKING)
def test_it_is_refused_with_the_reason(words: list[str], told: str) -> None:
    assert told in "; ".join(complaints(words))


@pytest.mark.parametrize(
    "words",
    [["--api-key", "sk-0123"], ["--api-key=sk-0123"], ["--api-key sk-0123"], ["-hft=sk-0123"]],
    ids=str,
)
def test_a_refused_value_is_not_shown(words: list[str]) -> None:
    told = "; ".join(complaints(words))

    assert "everybody on the Mac" in told
    assert "sk-0123" not in told


def test_everything_is_told_at_once() -> None:
    words = ["--temp=0.7", "--api-key", "x", "--ctx-size", "9", "--top-k 40"]

    assert len(list(complaints(words))) == 4


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["--metrics", "--threads", "8", "-t", "-1", "--jinja", "--no-ui", "--offline"],
        ["--chat-template-kwargs", '{"a": "b=c"}', "--override-kv", "a.b=int:7", "-ot", "exps=CPU"],
        ["--reverse-prompt", "- item", "--grammar", 'root ::= "--x" | "="'],
        [
            "--spec-default",
            "--spec-type",
            "ngram-mod",
            "--lora",
            "/l.gguf",
            "--rpc",
            "10.0.0.2:50052",
        ],
        ["--hf", "--ssl", "--models", "--no-agent", "--no-tools-like", "--pathology"],
    ],
    ids=str,
)
def test_what_is_none_of_that_is_left_to_llama_server(words: list[str]) -> None:
    assert list(complaints(words)) == []
