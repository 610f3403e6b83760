"""What is checked in the destination before a request to the API is made."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from dlt import Schema
from dlt.destinations.job_client_impl import SqlJobClientBase

from ..catalog import Resource
from ..exceptions import ConfigurationError
from ..extract.merge_strategy import can_merge
from ..extract.schema import USER_ID
from .destinations import BIGQUERY, AnyDestination, package_of


def check_destination(destination: AnyDestination, dataset_name: str) -> None:
    """Checks that the destination can merge; that BigQuery responds, accepts the credentials, and has the dataset.

    Raises:
        ConfigurationError: the destination cannot merge; the dataset is in another location than the configured one, or
            what is in it expires.
        GoogleAPIError: BigQuery's own error, within `destination.bigquery.retry_deadline` (60 seconds).
    """
    check_merging(destination)
    if destination.destination_type == BIGQUERY:
        from .bigquery import open_dataset

        with open_dataset(destination, dataset_name) as dataset:
            dataset.check()


def check_merging(destination: AnyDestination) -> None:
    """Checks that a destination can merge rows by their key, in SQL.

    Plain files (`filesystem`) would take each load's rows beside those of the last: 18,541 rows of 16,500 calls after
    two loads, without an error. Vector databases replace no days, and nothing can look there whether all rows arrived.

    Raises:
        ConfigurationError: it cannot, or its package is not installed.
    """
    name = destination.destination_name
    is_able = can_merge(destination.capabilities())
    with package_of(destination.destination_type):
        is_able = is_able and issubclass(destination.client_class, SqlJobClientBase)
    if not is_able:
        raise ConfigurationError(
            f"destination_type (--destination): {name} cannot merge rows by their key, so each load would add the same "
            "calls again. Nothing was requested. Use duckdb, bigquery, postgres, or another SQL database: "
            "docs/destinations.md."
        )


def check_tables(
    destination: AnyDestination, dataset_name: str, stored: Schema | None, chosen: Sequence[Resource], has_clients: bool
) -> None:
    """Checks existing tables against what is to be loaded into them.

    dlt adds columns and never looks at the types of existing ones: a load job would fail after everything was read.
    And rows with a client in their key would be stored beside the same rows without one.

    Args:
        destination: the destination.
        dataset_name: the dataset.
        stored: dlt's schema as the last load stored it in the destination; None if nothing was loaded.
        chosen: what is to be loaded.
        has_clients: whether several clients of an agency are to be loaded into the same tables.

    Raises:
        ConfigurationError: in BigQuery, a column has another type, so the table was not created by this pipeline; or a
            table's rows have a client in their key, and those to be loaded have none, or the other way round.
    """
    columns = _existing_columns(destination, dataset_name, stored, chosen)
    for resource in chosen:
        if resource.is_agency_level or resource.name not in columns:
            continue
        if (USER_ID.name in columns[resource.name]) != has_clients:
            raise ConfigurationError(
                f"sources.comagic.user_ids: the table {resource.name} was loaded "
                f"{'without a client in its key' if has_clients else 'with clients in its key'}. "
                "Load into another dataset: dataset_name in .dlt/config.toml."
            )


def _existing_columns(
    destination: AnyDestination, dataset_name: str, stored: Schema | None, chosen: Sequence[Resource]
) -> Mapping[str, Collection[Any]]:
    """Columns of existing tables, by table: in BigQuery as they are, elsewhere as the last load left dlt's schema."""
    if destination.destination_type == BIGQUERY:
        from .bigquery import open_dataset

        with open_dataset(destination, dataset_name) as tables:
            found = {resource.name: tables.checked_columns(resource) for resource in chosen}
        return {name: columns for name, columns in found.items() if columns is not None}
    return {str(table["name"]): table["columns"] for table in stored.data_tables()} if stored else {}
