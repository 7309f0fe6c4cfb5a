"""How a stack is reached, on its Mac and from elsewhere."""

from herd.core.settings.schema import Settings


def local_proxy(settings: Settings) -> str:
    """The proxy's URL on its Mac."""
    return _url(settings, "127.0.0.1" if settings.listens_everywhere else settings.proxy_host)


def public_proxy(settings: Settings, address: str) -> str:
    """The proxy's URL for clients that know the Mac by this address."""
    return _url(settings, address if settings.listens_everywhere else settings.proxy_host)


def proxy_for_peers(settings: Settings, address: str) -> str:
    """The proxy's URL for the other Macs of its site, given its address in the inventory."""
    if settings.models_address:
        return _url(settings, settings.models_address)
    return public_proxy(settings, address)


def local_gateway(settings: Settings) -> str:
    """The URL of the herd's gateway, on its host."""
    host = "127.0.0.1" if settings.listens_everywhere else settings.proxy_host
    return _url(settings, host, settings.gateway_port)


def public_gateway(settings: Settings, address: str) -> str:
    """The same for clients that know its host by this address."""
    host = address if settings.listens_everywhere else settings.proxy_host
    return _url(settings, host, settings.gateway_port)


def _url(settings: Settings, host: str, port: int = 0) -> str:
    bare = ":" in host and not host.startswith("[")
    scheme = "https" if settings.proxy_tls_certificate else "http"
    return f"{scheme}://{f'[{host}]' if bare else host}:{port or settings.proxy_port}"


def llama_swap(settings: Settings) -> str:
    """llama-swap's URL on its Mac, where it asks for a key of its own."""
    return f"http://127.0.0.1:{settings.llama_swap_port}"
