"""What the resources of one account, or of one client of an agency, are read with."""

from dataclasses import dataclass
from datetime import datetime, tzinfo
from typing import Any, Dict, Iterable, List, Optional, Sequence, Tuple

from ..api.client import DataApiClient
from ..catalog import Dictionary, Report, Resource, dictionaries, resources
from ..exceptions import ConfigurationError
from ..settings import ALL_CLIENTS, Settings, parse_zone
from .privacy import Privacy
from .progress import Journal, Pass
from .reader import read_dictionary


@dataclass(frozen=True)
class Extraction:
    """What the resources of one account, or of one client of an agency, are read with.

    Attributes:
        settings: the settings.
        client: the API's client.
        journal: takes notes; without it errors are raised.
        since: wall time at which to begin, instead of the cursor.
        until: wall time before which to end; None for now.
        user_id: the client of the agency, where several are loaded; its rows carry it.
    """

    settings: Settings
    client: DataApiClient
    journal: Optional[Journal] = None
    since: Optional[datetime] = None
    until: Optional[datetime] = None
    user_id: Optional[int] = None

    def name(self, resource: Resource) -> str:
        """Name of the dlt resource, which has a state of its own for each client of an agency."""
        return resource_name(resource, self.user_id)

    def key(self, resource: Resource) -> List[str]:
        """Columns that are unique in the resource's table."""
        return [*self.parameters(resource), resource.primary_key]

    def parameters(self, resource: Resource) -> Dict[str, Any]:
        """What each request for the resource has to name, and each row carries."""
        return {} if self.user_id is None or is_agencys(resource) else {"user_id": self.user_id}

    def privacy(self, resource: Resource) -> Privacy:
        """What of the resource's fields is left out or replaced."""
        return self.settings.privacy.of(resource)

    def begun(self, resource: Resource) -> Pass:
        """The journal's pass over a resource of which nothing is known yet."""
        now = datetime.now()  # noqa: DTZ005  # replaced by the period; a dictionary has none
        return Pass(
            resource.name,
            *(now, now, now),
            planned=1,
            is_dictionary=isinstance(resource, Dictionary),
            is_of_client=self.user_id is not None,
        )

    def zone(self) -> tzinfo:
        """The zone of the account's times, or of the client's; the agency's own times are taken as in its zone, too.

        Raises:
            ComagicError: the account cannot be asked for it.
        """
        if self.settings.zone:
            return self.settings.zone
        return parse_zone("get.account.timezone", self.client.account(self.user_id).timezone)


def resource_name(resource: Resource, user_id: Optional[int]) -> str:
    """Name of a dlt resource: that of the catalog, with the client's id where several clients are loaded."""
    return resource.name if user_id is None or is_agencys(resource) else f"{resource.name}_{user_id}"


def runs(names: Sequence[str], clients: Sequence[Optional[int]]) -> List[Tuple[List[str], Optional[int]]]:
    """What a load does one after the other: names of dlt resources, and the client whose source has them.

    Each report has runs of its own, which may be many; the dictionaries of a client come in one.

    Args:
        names: names of resources in the catalog.
        clients: see `chosen_clients`.
    """
    found: List[Tuple[List[str], Optional[int]]] = []
    for user_id in clients:
        chosen = resources_of([resources()[name] for name in names], user_id, clients)
        found += [([resource_name(of, user_id)], user_id) for of in chosen if isinstance(of, Report)]
        small = [resource_name(of, user_id) for of in chosen if isinstance(of, Dictionary)]
        found += [(small, user_id)] if small else []
    return found


def resources_of(
    chosen: Iterable[Resource], user_id: Optional[int], clients: Sequence[Optional[int]]
) -> List[Resource]:
    """Those that are read for one of the clients; what tells of the agency itself comes with the first."""
    return [of for of in chosen if user_id == clients[0] or not is_agencys(of)]


def chosen_clients(client: DataApiClient, user_ids: Sequence[Any]) -> List[Optional[int]]:
    """The clients of an agency to load, by the setting `user_ids`; None alone where there is no agency.

    Raises:
        ConfigurationError: all clients are wanted, and the agency has none.
        ApiError: see `DataApiClient.page`.
    """
    if list(user_ids) != [ALL_CLIENTS]:
        return list(user_ids) or [None]
    found = [of["id"] for of in read_dictionary(client, dictionaries()["customer_users"], ["id"])]
    if not found:
        raise ConfigurationError('sources.comagic.user_ids: it is "all", and get.customer_users lists no clients.')
    return sorted(found)


def is_agencys(resource: Resource) -> bool:
    """True for a resource that tells of an agency itself, not of one of its clients."""
    return isinstance(resource, Dictionary) and resource.is_agencys
