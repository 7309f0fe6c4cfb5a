"""Where everything of a stack lives on a Mac."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property

from herd.core.gateway.fleet import Gateway
from herd.core.mac import domains
from herd.core.mac.archives import Bundle
from herd.core.mac.domains import Domain
from herd.core.mac.releases import SOFTWARE
from herd.core.settings.schema import Model, Settings

SYSTEM_PATH = "/usr/bin:/bin:/usr/sbin:/sbin"
"""Where macOS's own programs are, in the order of sshd and launchd."""
LINUX = "Linux"
LINUX_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
"""Where Debian's and an administrator's own are (ENV_SUPATH of login.defs(5))."""


@dataclass(frozen=True)
class Layout:
    """Absolute paths of one stack, for a user's home directory ("/Users/me"); `user` is his name,
    where somebody knows it."""

    settings: Settings = field(repr=False)
    home: str
    user: str = ""
    gateway: Gateway | None = field(default=None, repr=False, kw_only=True)
    """What HAProxy is told, if this host is a gateway of the herd."""
    system: str = field(default="Darwin", kw_only=True)
    """What `uname -s` says there; a gateway may be Linux."""

    @property
    def is_linux(self) -> bool:
        """Whether packages are apt's, jobs systemd's, and programs where PATH leads."""
        return self.system == LINUX

    @cached_property
    def root(self) -> str:
        """The stack's own directory."""
        return self.absolute(self.settings.stack_root)

    def absolute(self, path: str) -> str:
        """A path of the settings, which may be below the home directory (`~/`)."""
        return self.home + path[1:] if path.startswith("~") else path

    def at_home(self, model: Model) -> Model:
        """A model whose paths are absolute: llama-server expands no `~`."""
        saved = model.slot_save_path
        return model.model_copy(update={"slot_save_path": saved and self.absolute(saved)})

    @property
    def saved_slots(self) -> str:
        """Says that there are caches of slots that were saved before a restart."""
        return self.under("saved-slots")

    @property
    def slot_directories(self) -> list[str]:
        """Where models save the caches of their slots."""
        saved = {model.slot_save_path for model in self.settings.models.values()}
        return sorted(self.absolute(path) for path in saved if path)

    def under(self, *names: str) -> str:
        """A path below the root."""
        return "/".join((self.root, *names))

    def brew(self, name: str) -> str:
        """A program that Homebrew installed; on Linux its name, as an administrator's own in
        /usr/local may be meant."""
        return name if self.is_linux else f"{self.settings.homebrew_prefix}/bin/{name}"

    @property
    def base_python(self) -> str:
        """The interpreter from which the proxy's environment is made."""
        return self.brew(
            "python3" if self.is_linux else self.settings.proxy_python.replace("@", "")
        )

    def program(self, name: str) -> str:
        """A program that the stack runs: Homebrew's, or that of the pinned release which runs."""
        software = SOFTWARE.get(name, "")
        if software in self.settings.releases:
            return f"{self.current_release(software)}/{name}"
        return self.brew(name)

    def pinned_program(self, name: str) -> str:
        """The same of the release that is pinned, whether or not it runs already."""
        software = SOFTWARE.get(name, "")
        if release := self.settings.releases.get(software):
            return f"{self.releases}/{software}/{release.directory}/{name}"
        return self.brew(name)

    def version_links(self, names: Iterable[str]) -> list[str]:
        """The links that tell by where they lead which versions of programs run."""
        paths = ((name, self.program(name)) for name in names)
        return [p if p == self.brew(name) else p.rpartition("/")[0] for name, p in paths]

    @property
    def releases(self) -> str:
        """The directory of all pinned releases."""
        return self.under("releases")

    def current_release(self, software: str) -> str:
        """The link to the release of "llama.cpp" or "llama-swap" that runs."""
        return f"{self.releases}/{software}/current"

    @property
    def path(self) -> str:
        """PATH of the jobs: Homebrew's, then launchd's own default."""
        if self.is_linux:
            return LINUX_PATH
        prefix = self.settings.homebrew_prefix
        return f"{prefix}/bin:{prefix}/sbin:{SYSTEM_PATH}"

    @property
    def config(self) -> str:
        """llama-swap's configuration."""
        return self.under("config.yaml")

    @property
    def keys(self) -> str:
        """The proxy's API keys."""
        return self.under("config.json")

    @property
    def swap_key(self) -> str:
        """What llama-swap and each llama-server want to be shown: made on the Mac, by a deploy,
        and known to nobody else."""
        return self.under("llama-swap.key")

    @property
    def peers(self) -> str:
        """The key by which the other Macs of its site fetch models here, as its hash."""
        return self.under("peers.json")

    @property
    def gateways(self) -> str:
        """The keys of the gateways that this Mac's proxy takes requests from, as their hashes."""
        return self.under("gateways.json")

    @property
    def gateway_key(self) -> str:
        """The key of this gateway: made here, by a deploy, and known to nobody else."""
        return self.of_gateway("gateway.key")

    @property
    def other_gateways(self) -> str:
        """The others of the herd, on a gateway: their keys, as hashes, and where they are asked."""
        return self.of_gateway("others.json")

    def of_gateway(self, name: str) -> str:
        """A file of this host as a gateway."""
        return self.under("gateway", name)

    @property
    def usage(self) -> str:
        """What was used by which key: the proxy's books, which outlive its releases."""
        return self.under("usage.db")

    @property
    def gateway_availability(self) -> str:
        """The same of the proxy before a gateway."""
        return self.of_gateway("availability.json")

    @property
    def gateway_control(self) -> str:
        """Where that proxy answers who is on this host (proxy/readiness/control.py)."""
        return self.of_gateway("availability.sock")

    @property
    def availability(self) -> str:
        """Where the proxy finds whether it is to take requests (proxy/readiness/availability.py);
        its socket for commands is beside that."""
        return self.under("availability.json")

    @property
    def last_good(self) -> str:
        """What defined the stack when it served before its last change, to be put back."""
        return self.under("last-good")

    @property
    def models(self) -> str:
        """The directory of all models."""
        return self.under("models")

    @property
    def fit(self) -> str:
        """What this Mac's llama.cpp said that models take of memory."""
        return self.under("fit")

    def model_directory(self, model: Model) -> str:
        """A model's directory, named after its repository as a hand-run install names it."""
        return self.under("models", model.directory)

    @property
    def proxy(self) -> str:
        """The directory of the proxy's releases and environments."""
        return self.under("proxy")

    def proxy_release(self, bundle: Bundle) -> str:
        """The proxy's code, in a directory named by its content."""
        return f"{self.proxy}/release-{bundle.release}"

    def proxy_environment(self, bundle: Bundle) -> str:
        """The proxy's dependencies, for one version of Python and one lock."""
        version = self.settings.proxy_python.rpartition("@")[2]
        return f"{self.proxy}/env-{version}-{bundle.lock}"

    def proxy_python(self, bundle: Bundle) -> str:
        """The interpreter that has them."""
        return f"{self.proxy_environment(bundle)}/bin/python"

    @property
    def tls_certificate(self) -> str:
        """The proxy's certificate, if it has one."""
        return f"{self.proxy}/tls-certificate.pem"

    @property
    def tls_key(self) -> str:
        """The certificate's key."""
        return f"{self.proxy}/tls-key.pem"

    @property
    def fetcher(self) -> str:
        """The program that fetches models."""
        return self.under("fetcher.pyz")

    @property
    def start_command(self) -> str:
        """The script that runs the stack in the foreground; Finder opens a .command in Terminal."""
        return self.under("start.command")

    @property
    def installed_packages(self) -> str:
        """Which of Homebrew's formulae a deploy installed, so that an uninstall knows its own."""
        return self.under("installed-packages")

    @property
    def last_deploy(self) -> str:
        """What was deployed last: by whom, when, of which revision."""
        return self.under("last-deploy.json")

    @property
    def mac_before(self) -> str:
        """What settings of the Mac itself were before a deploy changed them first. It is of the
        Mac, not of one stack: another one, or this one elsewhere, must not note what that made."""
        return f"{self.home}/Library/Application Support/llama-herd/mac-before"

    @property
    def ports(self) -> dict[int, str]:
        """Every port of this host that somebody else could hold, and the setting that names it."""
        settings, found = self.settings, dict[int, str]()
        if settings.serves:
            found = {settings.proxy_port: "proxy_port", settings.llama_swap_port: "llama_swap_port"}
            if settings.proxy_agent_port:
                found[settings.proxy_agent_port] = "proxy_agent_port"
            found |= dict.fromkeys(settings.llama_server_ports, "llama_server_start_port")
        if self.gateway:
            found[settings.gateway_port] = "gateway_port"
            found[settings.gateway_haproxy_port] = "gateway_haproxy_port"
        return dict(sorted(found.items()))

    def log(self, job: str) -> str:
        """The log of a job, "llama-swap" or "proxy"."""
        return self.under(f"{job}.log")

    def label(self, job: str) -> str:
        """The launchd label of a job, or the name of its unit."""
        return f"{self.settings.launchd_label_prefix}.{job}"

    @property
    def is_daemon(self) -> bool:
        """Whether the stack's jobs are the system's, not those of a session."""
        return self.settings.launchd_domain == "daemon" and not self.is_linux

    @property
    def account(self) -> str:
        """The user's name; a home directory is named after him, if nobody says otherwise."""
        return self.user or self.home.rpartition("/")[2]

    def domain(self, uid: int) -> Domain:
        """Where its jobs live."""
        if self.is_linux:
            return domains.units(self.home)
        return domains.DAEMONS if self.is_daemon else domains.agents(uid, self.home)

    def other_domain(self, uid: int) -> Domain:
        """Where they were before, if `launchd_domain` was another."""
        return domains.agents(uid, self.home) if self.is_daemon else domains.DAEMONS

    def plist(self, job: str) -> str:
        """The property list of a job, where launchd looks at login, or at the start of the Mac."""
        return self.domain(0).plist(self.label(job))

    def launcher(self, job: str) -> str:
        """What the property list of a daemon runs: that is root's, and this may change."""
        return self.under(f"daemon-{job}.sh")

    def started(self, job: str) -> str:
        """Where a daemon notes how it was started last."""
        return self.under(f"daemon-{job}.started")

    @property
    def temporary(self) -> str:
        """TMPDIR of daemons: launchd gives them none of the user's."""
        return self.under("daemon-tmp")
