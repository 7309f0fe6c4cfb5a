"""Every setting with its default. Override per group in group_data/GROUP.py, per host in
inventory.py, for one run with --data; `models`, `model_defaults` and `llama_swap_groups` are
merged entry by entry there, and an entry set to None is removed.
"""

# -- The stack ---------------------------------------------------------------------------------
# Where it lives on the Mac: configuration, keys, models, logs. "~" is the SSH user's home.
stack_root = "~/llama-swap"

# -- Homebrew ----------------------------------------------------------------------------------
# Where Homebrew is, or is to be installed.
homebrew_prefix = "/opt/homebrew"
# Its installer, run only when it is missing and sudo asks for no password.
homebrew_installer = "https://raw.githubusercontent.com/Homebrew/install/HEAD/install.sh"
# Whether a deploy upgrades what it installed; `make upgrade` sets this for one run.
homebrew_upgrade = False

# -- Models ------------------------------------------------------------------------------------
# By the name that clients use. Each needs a repo; what else it leaves out is in model_defaults.
# `make lock` pins repo, revision and include in models.lock; a deploy fetches what that says.
models = {
    "gpt-oss-120b": {"repo": "ggml-org/gpt-oss-120b-GGUF"},
}
model_defaults = {
    # Branch, tag or commit of the repository, as of the day of `make lock`.
    "revision": "main",
    # Which of its files, as for `hf download --include`; there must be one model among them. What
    # else is there (projectors, draft heads, importance matrices) is told apart by its header.
    "include": ["*.gguf"],
    # What makes it see or hear: "auto" is the smallest projector that loses nothing of those that
    # `include` has, else of the repository's files with mmproj in their names; None is none.
    "mmproj": "auto",
    # A smaller model, or a head (MTP, EAGLE-3), that drafts for it.
    "draft": None,
    # Adapters, with a scale if it is not 1: ["style.gguf:0.5", "hf://me/lora-GGUF/sql.gguf"].
    "lora": [],
    # The same, for vectors that steer it.
    "control_vector": [],
    # A Jinja file instead of the template in the model.
    "chat_template_file": None,
    # What it does: "chat", "completion" (a model without a chat template), "embedding",
    # "reranking", "speech" (it hears, and does not see). "auto" is what its header and extra_args
    # say. It decides the flags of llama-server, and how it is asked.
    "task": "auto",
    # Tokens that one request may use; 0 is what the model was trained for.
    "ctx_size": 8192,
    # Requests at a time; llama-server gets parallel x ctx_size.
    "parallel": 1,
    # Types of the KV cache: f32, f16, bf16, q8_0, q5_1, q5_0, q4_1, q4_0, iq4_nl.
    "cache_type_k": "f16",
    "cache_type_v": "f16",
    # "on", "off" or "auto"; a quantised cache_type_v needs it.
    "flash_attention": "auto",
    # Keep the weights in physical memory.
    "mlock": True,
    # Seconds without a request until the model is unloaded; 0 is never.
    "ttl": 0,
    # Further names that clients may use.
    "aliases": [],
    # Load it when llama-swap starts.
    "preload": False,
    # What requests get that say nothing else; None, here and below, is llama-server's own default.
    "temperature": None,
    # Of the likeliest tokens; 0 is all.
    "top_k": None,
    # Of the tokens that make up this probability.
    "top_p": None,
    # Of the tokens that have this share of the likeliest one's probability.
    "min_p": None,
    # Above 1, what was said is said again more rarely.
    "repeat_penalty": None,
    # What was said at all.
    "presence_penalty": None,
    # What was said often.
    "frequency_penalty": None,
    # Where thoughts go: "deepseek" is reasoning_content, "none" leaves them in the content.
    "reasoning_format": None,
    # Tokens of thinking; 0 is none, -1 is no limit.
    "reasoning_budget": None,
    # Whether chat templates are run by Jinja, as tools need it.
    "jinja": None,
    # Another chat template than the model's: one of llama.cpp's names, or Jinja in a line.
    "chat_template": None,
    # What the template is told: {"enable_thinking": False}.
    "chat_template_kwargs": None,
    # Whether a full context forgets its beginning and goes on.
    "context_shift": None,
    # Reuse of parts of a prompt that moved, in chunks of at least so many tokens; 0 is off.
    "cache_reuse": None,
    # Where /slots saves and restores caches, for one model or several: a deploy makes it, and
    # restarts, by a deploy too, keep prompt caches by it.
    "slot_save_path": None,
    # How drafts are made, as llama-server's --spec-type has them: "ngram-mod".
    "spec_type": None,
    # Tokens of a draft, at most.
    "spec_draft_n_max": None,
    # Tokens of a draft, at least.
    "spec_draft_n_min": None,
    # Probability that a drafted token must have.
    "spec_draft_p_min": None,
    # How an embedding is made of its tokens' vectors, if not as the model says.
    "pooling": None,
    # Whether llama-server counts for Prometheus, at /upstream/NAME/metrics.
    "metrics": None,
    # What llama-swap changes in requests: {"strip_params": ["temperature"],
    # "set_params": {"top_k": 20}, "set_params_by_id": {"an alias": {"reasoning_effort": "high"}}}.
    "filters": None,
    # The name by which llama-swap asks llama-server for it.
    "use_model_name": None,
    # Requests that llama-swap lets through at a time, the others get 429; 0 is 10, or parallel if
    # that is more.
    "concurrency_limit": 0,
    # llama-server's environment: ["GGML_METAL_NDEBUG=1"].
    "env": [],
    # Whether lists of models leave it out.
    "unlisted": False,
    # What lists of models call it, beside its name.
    "display_name": None,
    # What lists of models say of it.
    "description": None,
    # Further arguments of llama-server, a string each. One that is hf://OWNER/NAME/FILE is locked
    # and fetched, and becomes the file's path on the Mac.
    "extra_args": [],
}
# Connections over which a model's files are fetched.
models_connections = 8
# Whether a deploy removes the files of models that are no longer declared, of those that a deploy
# fetched; if not, it lists them.
models_prune = False
# Macs of one site share a fast network. Those of a run fetch each file from the Hub once, and from
# each other's proxies then.
site = "default"
# Whether this Mac takes part in that.
models_share = True
# How the others of its site reach it, if not by its address in the inventory: as "10.0.0.2", its
# end of a Thunderbolt cable. None is the inventory's.
models_address = None

# -- llama-server ------------------------------------------------------------------------------
# The first port; each model has one, in the order of their names.
llama_server_start_port = 10001
# An exact release of llama.cpp in place of Homebrew's, so that it can be rolled back: {"version":
# "b10686", "url": "https://….tar.gz", "sha256": "…"}. `make pin ARGS=llama.cpp` prints the newest.
llama_cpp_release = None

# -- llama-swap --------------------------------------------------------------------------------
# Its port, on 127.0.0.1 only.
llama_swap_port = 8080
# The same of llama-swap: `make pin ARGS=llama-swap`.
llama_swap_release = None
# Whether it applies a changed config.yaml by itself; if not, the deploy restarts it.
llama_swap_watch_config = True
# Seconds that a model may take to load; 63 GB from a cold disk take a while.
llama_swap_health_timeout = 900
# Which models may be loaded together: {"name": {"members": [...], "swap": True,
# "exclusive": True, "persistent": False}}. A model in no group runs alone.
llama_swap_groups = {}
# The same as combinations, in place of groups: {"sets": {"evening": "big & (tiny | coder)"}}, with
# "vars" for short names of models, and "evict_costs" of what is to stay loaded rather; None is by
# groups.
llama_swap_matrix = None

# -- Auth proxy --------------------------------------------------------------------------------
# The address and port that clients use: "::" is all addresses of IPv4 and IPv6, "0.0.0.0" all of
# IPv4, anything else that one.
proxy_host = "::"
proxy_port = 3000
# How clients, this workstation and the other Macs reach it, if not as ssh reaches the Mac: a name
# or an address. None is the HostName of ~/.ssh/config, else the name in the inventory.
proxy_address = None
# Homebrew's Python for it.
proxy_python = "python@3.13"
# Origins whose pages and apps may use it: "https://chat.example.com", "app://obsidian.md",
# "http://localhost:*", "https://*.example.com", "chrome-extension://*"; without any, config.json's.
proxy_allow_origins = []
# Where a vision model may fetch images from for keys without the scope admin, as the beginning of a
# URL: "https://images.example.com/". Images in the request itself (data:) need none of it.
proxy_allow_image_urls = []
# PEM files of this workstation, a certificate with its chain and its key, for https; None is
# plain HTTP. A renewed pair is taken at the next deploy, without a restart.
proxy_tls_certificate = None
# The key must have no password.
proxy_tls_key = None
# Port on which a gateway asks each Mac how it is (HAProxy's agent check), without a key; None is
# a Mac without a gateway.
proxy_agent_port = None
# Seconds that a loaded model has for one token, once it was silent for half as long while somebody
# waits; then a gateway sends nobody here. Only with proxy_agent_port.
proxy_token_deadline = 60
# MiB that proxy.log and llama-swap.log may each have: the proxy empties them in place, as launchd
# keeps them open, and a newsyslog that renames them would have both written to for ever.
proxy_log_max_mb = 16
# How many of each are kept of before, as proxy.log.1, each as large; 0 is none.
proxy_logs_kept = 1

# -- Gateway -----------------------------------------------------------------------------------
# Hosts of the group `gateways` in inventory.py make one service of all Macs (docs/fleet.md). The
# port for clients of all; its address, certificate and keys are those of the proxy, above.
gateway_port = 3100
# HAProxy's port there, on 127.0.0.1 only.
gateway_haproxy_port = 8100
# Of a Mac: how much of the conversations it shall have, in percent of what its slots (`parallel`)
# give it; for one that is slower than the others, less. None is by the memory bandwidth of its
# chip, where facts.lock (`make facts`) has those of all Macs that serve the model; else 100.
gateway_weight = None
# Requests that may wait for each model when all its slots are taken; more are told when to return.
gateway_queue = 64
# Seconds that one may wait.
gateway_queue_seconds = 120
# KiB of a request that are kept, to be asked of another Mac if one refuses it; each takes about
# three times that in memory while it runs. Of a longer one, a refusal is the answer.
gateway_buffer_kib = 1024
# Headers that tell one conversation from another; the first that a request has counts, before its
# `prompt_cache_key`, and its opening.
gateway_session_headers = [
    "x-session-id",
    "session_id",
    "conversation_id",
    "x-session-affinity",
    "x-claude-code-session-id",
    "x-openwebui-chat-id",
]
# PEM file of this workstation with who may vouch for the Macs' certificates, as an authority of
# your own; None is whom the gateway's system trusts.
gateway_tls_authorities = None

# -- API keys ----------------------------------------------------------------------------------
# Entries that `make key NAME=anna` prints, without a secret in them: {"name": "anna",
# "sha256": "...", "models": ["gpt-*"], "rpm": 60}; docs/proxy.md has every field. Without any,
# config.json beside the inventory counts, else API_KEYS.
api_keys = []

# -- launchd -----------------------------------------------------------------------------------
# Labels are PREFIX.llama-swap and PREFIX.proxy.
launchd_label_prefix = "com.moonspirit"
# "agent": in the session of the SSH user at the Mac's screen. "daemon": by the system, as the same
# user, from the start of the Mac on, with nobody logged in; it needs root (`make sudoers`).
launchd_domain = "agent"
# "background": from login (a daemon's: from the start of the Mac) on, and kept running. "terminal":
# at login in a Terminal window, where Ctrl+C stops both. "off": installed, and running only while
# started by hand.
launchd_autostart = "background"

# -- The Mac itself ----------------------------------------------------------------------------
# None, here and below: as the Mac has it. What is changed needs sudo without a password for exactly
# that (`make sudoers`), and what it was is put back by uninstall.
# "never": it does not sleep, its disks neither, its display after 10 minutes. "never-lid-shut": a
# laptop not even with its lid shut; in a bag it gets hot.
mac_sleep = None
# Whether it starts by itself when power comes back, if it ran when that went.
mac_restart_after_power_loss = None
# Whether a packet on its cable wakes it.
mac_wake_on_lan = None
# MiB that the GPU may wire, now and after each restart; macOS keeps an eighth, but at least 8 GiB,
# or a quarter where that is less.
mac_gpu_wired_limit_mb = None
# Whether the application firewall lets clients reach the proxy's Python, also after an upgrade of
# it.
mac_firewall_exception = None
# Networks that reach the proxy, and nobody else, by a rule of pf: ["192.168.1.0/24", "fd00::/8"];
# other Macs of its site and a gateway must be in them. The Mac itself always does.
mac_networks = None
# Whether macOS installs its updates by itself, and restarts for it.
mac_automatic_updates = None

# -- Preflight ---------------------------------------------------------------------------------
# What becomes of models that do not fit into memory together: "refuse", which only warns where the
# sum is an estimate and weights alone fit; "warn"; "off", which does not look.
preflight_fit = "refuse"
# GiB of memory that models must leave to macOS and whatever else runs: beside weights, KV cache,
# compute buffers and prompt cache, which are computed (`make fit`).
preflight_memory_reserve_gb = 8
# GiB that must stay free on the disk.
preflight_disk_reserve_gb = 10

# -- Verify ------------------------------------------------------------------------------------
# Seconds until the services must answer; loading a model has llama_swap_health_timeout.
verify_timeout = 60
# Seconds that answers may take to finish before a deploy restarts what gives them; what is new is
# refused meanwhile, with a time to come back. 0 cuts them off at once.
drain_timeout = 120
