"""The brands that share the Data API v2.0, and their endpoints.

Source: the vendors' manuals. Credentials of one brand do not work on another brand's host.
"""

import ipaddress
from collections.abc import Mapping
from urllib.parse import urlsplit

from ..exceptions import ConfigurationError

BRANDS: Mapping[str, str] = {
    "CoMagic": "https://dataapi.comagic.ru/v2.0",
    "UIS": "https://dataapi.uiscom.ru/v2.0",
    "CallGear": "https://dataapi.callgear.com/v2.0",
    "Novofon": "https://dataapi-jsonrpc.novofon.ru/v2.0",
}

BASE_URL = BRANDS["CoMagic"]


def checked_base_url(base_url: str) -> str:
    """Returns the endpoint without a trailing slash.

    Raises:
        ConfigurationError: it is not an `https` URL; plain `http` is accepted for loopback addresses only.
    """
    name = "sources.comagic.base_url"
    try:
        parts = urlsplit(base_url.strip())
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        raise ConfigurationError(f"{name}: {base_url!r} is not a URL: {error}.") from None
    if parts.scheme not in ("http", "https") or not host:
        raise ConfigurationError(f"{name}: {base_url!r} is not a URL such as {BASE_URL}")
    if parts.scheme == "http" and not _is_loopback(host):
        raise ConfigurationError(f"{name}: {base_url!r} would send your credentials unencrypted; use https.")
    return base_url.strip().rstrip("/")


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
