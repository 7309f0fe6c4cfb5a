"""The clients that are run: where each comes from, and how it speaks when it is refused.

Their settings are those of docs/clients.md. What is here besides keeps them from leaving this
computer, or is the question that a person would type.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

# Ours, as clients show it: with their own words around it, and in lines of their own.
UNKNOWN = r"This\s+API\s+key\s+is\s+not\s+known\s+here"
SPENT = r"This\s+API\s+key\s+has\s+reached\s+its\s+limit\s+of\s+1\s+tokens\s+per\s+day"


@dataclass(frozen=True)
class Client:
    """One section of the page."""

    heading: str
    source: str  # "npm", or the lock of an environment
    version: str  # a command, or the package that a program imports
    program: str = "sh mac"  # the mark of the block that is run
    route: str = "/v1/chat/completions"  # what it asks; the lab's stand-in knows no other
    answers: int = 1  # how often it prints the sentence
    wrong: str = UNKNOWN
    spent: str = SPENT  # empty where it waits, as told, until tomorrow
    retries: bool = True  # whether it comes again after a 429 by itself
    files: Mapping[str, str] = field(default_factory=dict)  # path below HOME: mark of its block
    quiet: Mapping[str, str] = field(default_factory=dict)  # variables
    seeds: Mapping[str, str] = field(default_factory=dict)  # path below HOME: text


def library(heading: str, package: str, **more: object) -> Client:
    """A program of Python or Node that asks twice: whole, and streamed."""
    return Client(heading, version=package, answers=2, **more)  # type: ignore[arg-type]


ROSTER = [
    Client("curl", "", "curl --version", retries=False),
    library(
        "openai for Python", "openai", source="libraries", program="python",
        wrong=rf"openai\.AuthenticationError: .*{UNKNOWN}",
        spent=rf"openai\.RateLimitError: .*{SPENT}",
    ),
    library(
        "anthropic for Python", "anthropic", source="libraries", program="python",
        route="/v1/messages", wrong=rf"anthropic\.AuthenticationError: .*{UNKNOWN}",
        spent=rf"anthropic\.RateLimitError: .*{SPENT}",
    ),
    library(
        "LangChain", "langchain-openai", source="libraries", program="python",
        wrong=rf"AuthenticationError: .*{UNKNOWN}", spent=rf"RateLimitError: .*{SPENT}",
    ),
    library(
        "LiteLLM", "litellm", source="libraries", program="python",
        wrong=rf"AuthenticationError: .*{UNKNOWN}", spent=rf"RateLimitError: .*{SPENT}",
        quiet={"LITELLM_LOCAL_MODEL_COST_MAP": "True"},
    ),
    library(
        "openai for Node", "openai", source="npm", program="js",
        wrong=rf"AuthenticationError: .*{UNKNOWN}", spent=rf"RateLimitError: .*{SPENT}",
    ),
    library(
        "anthropic for Node", "@anthropic-ai/sdk", source="npm", program="js",
        route="/v1/messages",
        wrong=rf"AuthenticationError: .*{UNKNOWN}", spent=rf"RateLimitError: .*{SPENT}",
    ),
    library(
        "Vercel's AI SDK", "ai", source="npm", program="js",
        wrong=rf"AI_APICallError.*{UNKNOWN}",
    ),
    Client("Claude Code", "npm", "claude --version", route="/v1/messages"),
    Client(
        "Codex", "npm", "codex --version", route="/v1/responses", spent="",
        files={".codex/config.toml": "toml"},
    ),
    Client(
        "opencode", "npm", "opencode --version", spent="",
        files={".config/opencode/opencode.json": "json"},
        quiet={"OPENCODE_DISABLE_AUTOUPDATE": "1", "OPENCODE_DISABLE_MODELS_FETCH": "1"},
    ),
    Client(
        "Qwen Code", "npm", "qwen --version", spent="", files={".qwen/settings.json": "json"},
    ),
    Client(
        "aider", "aider", "aider --version", spent="",
        quiet={
            "AIDER_ANALYTICS_DISABLE": "true",
            "AIDER_CHECK_UPDATE": "false",
            "AIDER_GIT": "false",
            "AIDER_YES_ALWAYS": "true",
            "LITELLM_LOCAL_MODEL_COST_MAP": "True",
        },
        # Its list of prices, of today: else it would fetch one.
        seeds={".aider/caches/model_prices_and_context_window.json": '{"none": {}}'},
    ),
]  # fmt: skip
