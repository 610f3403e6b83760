"""API clients of a sandbox, by key or by login, and one request that they make."""

from typing import Any, Protocol

from comagic import KeyCredentials, LoginCredentials
from comagic.api.client import DataApiClient
from comagic.sandbox.switches import KEY, LOGIN, PASSWORD


class Server(Protocol):
    """A server of the API: the sandbox, or a hostile one."""

    @property
    def base_url(self) -> str:
        """Value of the setting `sources.comagic.base_url`."""


def client_with_key(sandbox: Server, key: str = KEY, **settings: Any) -> DataApiClient:
    """Returns a client with a key; for the keyword arguments see `DataApiClient`."""
    return DataApiClient(KeyCredentials(access_token=key), sandbox.base_url, **settings)


def client_with_login(sandbox: Server, password: str = PASSWORD, **settings: Any) -> DataApiClient:
    """Returns a client with login and password; for the keyword arguments see `DataApiClient`."""
    return DataApiClient(LoginCredentials(login=LOGIN, password=password), sandbox.base_url, **settings)


def request_page(client: DataApiClient) -> int:
    """Requests the calls of one day; returns how many there are."""
    page = client.page(
        "get.calls_report", 0, fields=["id"], date_from="2026-03-01 00:00:00", date_till="2026-03-02 00:00:00"
    )
    assert page.total is not None
    return page.total
