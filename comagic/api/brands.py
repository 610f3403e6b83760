"""The brands that share the Data API v2.0, and their endpoints.

Source: the vendors' manuals. Credentials of one brand do not work on another brand's host.
"""

import ipaddress
from collections.abc import Collection, Mapping
from urllib.parse import urlsplit

from ..exceptions import ConfigurationError
from ..redaction import printable

BRANDS: Mapping[str, str] = {
    "CoMagic": "https://dataapi.comagic.ru/v2.0",
    "UIS": "https://dataapi.uiscom.ru/v2.0",
    "CallGear": "https://dataapi.callgear.com/v2.0",
    "Novofon": "https://dataapi-jsonrpc.novofon.ru/v2.0",
}

BASE_URL = BRANDS["CoMagic"]

MANUALS: Mapping[str, str] = {"CoMagic": "comagic", "UIS": "comagic", "CallGear": "callgear", "Novofon": "novofon"}
"""The manual of each brand; CoMagic and UIS share one. The catalog's `not_in` has these names."""


def manual_of(base_url: str) -> str:
    """Returns the name of the manual of an endpoint's brand; empty for another host, of which nothing is known."""
    host = urlsplit(base_url).hostname
    return next((MANUALS[brand] for brand, url in BRANDS.items() if urlsplit(url).hostname == host), "")


def site_of(base_url: str) -> str:
    """Returns the domain of the brand's sites, such as `comagic.ru`; CoMagic's for an endpoint of no brand."""
    host = urlsplit(base_url).hostname
    brand = next((url for url in BRANDS.values() if urlsplit(url).hostname == host), BASE_URL)
    return str(urlsplit(brand).hostname).partition(".")[2]


def checked_base_url(base_url: str, trusted_hosts: Collection[str] = ()) -> str:
    """Returns the endpoint without a trailing slash.

    Args:
        base_url: the endpoint.
        trusted_hosts: hosts other than the brands' that may get the credentials.

    Raises:
        ConfigurationError: it is not an `https` URL (plain `http` is accepted for loopback addresses only), or its host
            is neither a brand's, nor this machine, nor trusted.
    """
    name, shown = "sources.comagic.base_url", printable(repr(base_url))
    try:
        parts = urlsplit(base_url.strip())
        host, _ = parts.hostname, parts.port
    except ValueError:
        raise ConfigurationError(f"{name} is not a URL such as {BASE_URL}") from None
    if parts.username is not None or parts.password is not None:
        raise ConfigurationError(f"{name} holds a user name or password. Set sources.comagic.credentials instead.")
    if parts.scheme not in ("http", "https") or not host:
        raise ConfigurationError(f"{name}: {shown} is not a URL such as {BASE_URL}")
    if parts.scheme == "http" and not is_loopback(host):
        raise ConfigurationError(f"{name}: {shown} would send your credentials unencrypted; use https.")
    known = {urlsplit(url).hostname for url in BRANDS.values()}
    if host not in known and host not in trusted_hosts and not is_loopback(host):
        raise ConfigurationError(
            f"{name}: {printable(host)} is not a host of CoMagic, UIS, CallGear or Novofon, and would get your "
            "credentials. If you trust it, add it to sources.comagic.trusted_hosts."
        )
    return base_url.strip().rstrip("/")


def is_loopback(host: str) -> bool:
    """True for an address of this machine."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
