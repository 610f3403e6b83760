"""What the resources of one account, or of one client of an agency, are read with."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo
from functools import cached_property
from typing import Any

from ..api.client import DataApiClient
from ..api.deadline import Deadline
from ..api.rate_limit import Usage
from ..catalog import Dictionary, Resource, dictionaries, resources
from ..exceptions import ConfigurationError, MethodError
from ..settings import SOURCE_SECTION, Settings, resolve_connection
from ..values import ALL_CLIENTS, did_you_mean, parse_time_zone
from .privacy import Privacy
from .progress import Progress, Sync
from .reader import read_dictionary
from .shaping import Start
from .transform import RowTransformer
from .unknown_keys import UnknownKeys

ALL_FIELDS = "all"
"""The value of the setting `fields` that means every documented field."""


@dataclass(frozen=True)
class Context:
    """What the resources of one account, or of one client of an agency, are read with.

    Attributes:
        settings: the settings.
        client: the API's client.
        since: local time at which to start, instead of the cursor.
        until: local time before which to end; None for now.
        user_id: the client of the agency, where several are loaded; its rows carry it.
        progress: the progress to update; without it errors are raised.
        part: what distinguishes a dlt resource from another of the same report, in its name.
        on_extracted: called when all of a resource's part of a load package was read, with the package's rows.
        present: the instant up to which a load reads; None for that of each run.
        start_process: starts a second process for large loads; None where there may be none. See `shaping`.
        package_share: rows after which a report leaves the rest of a load package to others; 0 for all of it.
    """

    settings: Settings
    client: DataApiClient
    since: datetime | None = None
    until: datetime | None = None
    user_id: int | None = None
    progress: Progress | None = None
    part: str = ""
    present: datetime | None = None
    on_extracted: Callable[[int], None] | None = None
    start_process: Start | None = None
    package_share: int = 0

    def name(self, resource: Resource) -> str:
        """Name of the dlt resource: with the client's id where several are loaded, since each has its own state."""
        return "_".join([resource.name, *map(str, self.parameters(resource).values()), *filter(None, [self.part])])

    def key(self, resource: Resource) -> list[str]:
        """Columns that are unique in the resource's table."""
        return [*self.parameters(resource), resource.primary_key]

    def parameters(self, resource: Resource) -> dict[str, Any]:
        """What each request for the resource has to name, and each row carries."""
        return {} if self.user_id is None or resource.is_agency_level else {"user_id": self.user_id}

    def privacy(self, resource: Resource) -> Privacy:
        """Which of the resource's fields are not loaded or replaced.

        Raises:
            ConfigurationError: a setting about personal data is wrong.
        """
        return self._privacy.for_resource(resource)

    @cached_property
    def _privacy(self) -> Privacy:
        return Privacy.from_settings(self.settings)

    def selected_fields(self, resource: Resource) -> list[str]:
        """Names of the fields to request: always the key and cursor, never an excluded one.

        The setting `fields` is about calls; all fields of other resources are requested, but for those that the brand's
        manual does not have, that the vendor is going to remove, or that the API did not accept in this run.

        Raises:
            ConfigurationError: a configured name is not a field.
        """
        privacy, configured = self.privacy(resource), self.settings.fields
        chosen: Iterable[str] = resource.fields
        if resource.name == "calls" and configured != (ALL_FIELDS,):
            for name in configured:
                if name not in resource.fields:
                    raise ConfigurationError(
                        f"{SOURCE_SECTION}.fields: calls has no field {name!r}{did_you_mean(name, resource.fields)}; "
                        "the fields are listed in docs/tables.md (calls)."
                    )
            default = [name for name, field in resource.fields.items() if field.selected]
            chosen = dict.fromkeys([*resource.needed, *(configured or default)])
        left_out = self.client.left_out.get(resource.method, ())
        return [
            name
            for name in chosen
            if not privacy.excludes(name)
            and name not in left_out
            and not resource.fields[name].retired
            and self.client.manual not in resource.fields[name].not_in
        ]

    def warn_of_left_out(self, resource: Resource) -> None:
        """Warns of fields that the API did not accept."""
        if self.progress:
            self.progress.warn(
                f"{resource.name}: the API does not accept the field {name}; all else is loaded. If it is gone for "
                f'good, stop asking for it: sources.comagic.exclude_fields = ["{resource.name}/{name}"].'
                for name in self.client.left_out.get(resource.method, ())
            )

    def check_brand(self, resource: Resource) -> None:
        """Checks that the manual of the endpoint's brand has the resource's method.

        Raises:
            MethodError: it does not.
        """
        if self.client.manual in resource.not_in:
            raise MethodError(resource.method, "method_not_found", "The brand's manual does not have this method")

    def optional_resources(self) -> Collection[str]:
        """Names of resources that the account may do without.

        As configured; those that need a component of their own; those that the brand's manual does not have.
        """
        manual = self.client.manual
        own = {name for name, one in resources().items() if one.component or manual in one.not_in}
        return own.union(self.settings.optional_resources)

    def note_extracted(self, rows: int) -> None:
        """Takes that a resource's part of a load package was read, and how many rows the package has."""
        if self.on_extracted:
            self.on_extracted(rows)

    def transformer(
        self, resource: Resource, zone: tzinfo, parameters: Collection[str], existing: Mapping[str, str | None]
    ) -> RowTransformer:
        """What turns the resource's rows into rows for dlt.

        Args:
            resource: the report or dictionary.
            zone: the account's time zone.
            parameters: names of what is requested beside the fields.
            existing: columns that its table has before the load, with their types.
        """
        known, privacy = (self.progress or Progress()).unknown_keys, self.privacy(resource)
        if resource.name not in known:
            known[resource.name] = UnknownKeys(resource, privacy, existing, self.settings.max_new_columns)
        return RowTransformer(resource, zone, privacy, parameters, known[resource.name])

    def new_sync(self, resource: Resource) -> Sync:
        """The sync of a resource of which nothing was read yet."""
        now = datetime.now()  # noqa: DTZ005  # replaced by the period; a dictionary has none
        return Sync(
            resource.name,
            *(now, now, now),
            planned=1,
            is_dictionary=isinstance(resource, Dictionary),
        )

    def zone(self) -> tzinfo:
        """The time zone of the account's or client's times; agency-level times are taken to be in it, too.

        Raises:
            ComagicError: the account cannot be requested.
        """
        if self.settings.timezone:
            zone: tzinfo = self.settings.timezone
            return zone
        return parse_time_zone("get.account.timezone", self.client.account(self.user_id).timezone)


def open_client(
    settings: Settings, deadline: Deadline | None = None, usage: Usage | None = None, **connection: Any
) -> DataApiClient:
    """Returns a client with the configured credentials.

    Args:
        settings: the settings.
        deadline: the time limit of the run that uses the client.
        usage: where calls are counted.
        **connection: values that override the configured ones: `credentials`, `base_url`.

    Raises:
        ConfigFieldMissingException: no credentials are configured.
        ConfigurationError: the endpoint is not acceptable.
    """
    configured = resolve_connection(**connection)
    return DataApiClient(
        configured.credentials,
        configured.base_url,
        settings.user_id,
        deadline,
        usage,
        settings.trusted_hosts,
        settings.concurrency,
    )


def resources_for_client(
    chosen: Iterable[Resource], user_id: int | None, clients: Sequence[int | None]
) -> list[Resource]:
    """Those that are read for one of the clients; agency-level ones are read with the first."""
    return [resource for resource in chosen if user_id == clients[0] or not resource.is_agency_level]


def list_clients(client: DataApiClient, settings: Settings) -> list[int | None]:
    """The clients of an agency to load, by the setting `user_ids`; None alone where there is no agency.

    Raises:
        ConfigurationError: all clients are wanted, and the agency has none.
        ApiError: see `DataApiClient.page`.
    """
    if settings.user_ids != (ALL_CLIENTS,):
        return list(settings.user_ids) or [None]
    found = [entry["id"] for entry in read_dictionary(client, dictionaries()["customer_users"], ["id"]).rows]
    if not found:
        raise ConfigurationError(f'{SOURCE_SECTION}.user_ids: it is "all", and get.customer_users lists no clients.')
    return sorted(found)
