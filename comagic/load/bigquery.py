"""dlt's BigQuery destination, which also sums up what its queries are billed, and metadata requests beside dlt.

The job behind each query is requested as the query ends. A user may read the jobs that they started, so this needs no
role beyond those for loading; listing jobs would.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock
from typing import Any

import dlt
from dlt.common import logger
from dlt.common.configuration.specs import GcpServiceAccountCredentials
from dlt.common.destination import Destination
from dlt.common.destination.reference import DestinationReference
from dlt.destinations.impl.bigquery.bigquery import BigQueryClient
from dlt.destinations.impl.bigquery.sql_client import BigQuerySqlClient
from google.api_core.exceptions import GoogleAPIError, NotFound
from google.auth.credentials import AnonymousCredentials
from google.cloud.bigquery import DEFAULT_RETRY

from ..catalog import LIST, OBJECT, Resource
from ..exceptions import ConfigurationError
from .destinations import open_client

EMULATOR = "BIGQUERY_EMULATOR_HOST"
"""Environment variable that Google's client takes for the address of an emulator, `http://127.0.0.1:9050`."""

COLUMN_TYPES = {
    "bigint": ("INTEGER", "INT64"),
    "double": ("FLOAT", "FLOAT64"),
    "bool": ("BOOLEAN", "BOOL"),
    "text": ("STRING",),
    "timestamp": ("TIMESTAMP",),
    "date": ("DATE",),
    "json": ("JSON", "STRING"),
    LIST: ("a table of its own",),
    OBJECT: ("a column for each of its fields",),
}
"""BigQuery's names, old and new, of the catalog's types."""


class Bill:
    """Bytes that BigQuery bills for this process's queries; None as long as it reports none."""

    def __init__(self) -> None:
        self.bytes: int | None = None
        self._lock = Lock()

    def add(self, job: Any) -> None:
        """Adds a finished query; an emulator reports nothing."""
        billed = job.total_bytes_billed if job else None
        if billed is not None:
            with self._lock:  # dlt loads in several threads
                self.bytes = (self.bytes or 0) + billed


class BilledBigQuery(dlt.destinations.bigquery):
    """dlt's BigQuery destination with a bill; to dlt it is the same destination.

    Args:
        credentials: credentials; dlt's configuration where there are none.
        **settings: dlt's own settings of the destination, such as `replace_strategy`.
    """

    __orig_base__ = dlt.destinations.bigquery  # by whose arguments dlt knows what was given from defaults

    def __init__(self, credentials: GcpServiceAccountCredentials | None, **settings: Any) -> None:
        self.bill = Bill()
        super().__init__(credentials, destination_name="bigquery", **settings)  # type: ignore[arg-type]

    @property
    def destination_type(self) -> str:
        """dlt's own, by which pipelines and their states know it."""
        return DestinationReference.normalize_type("bigquery")

    @property
    def client_class(self) -> type[BigQueryClient]:
        """A client whose queries are added to the bill."""
        bill = self.bill

        class Client(BigQueryClient):
            def __init__(self, *args: Any, **kwargs: Any) -> None:
                super().__init__(*args, **kwargs)
                original = self.sql_client
                self.sql_client = SqlClient(
                    original.dataset_name,
                    original.staging_dataset_name,
                    self.config.credentials,
                    self.capabilities,
                    self.config.get_location(),
                    self.config.project_id,
                    self.config.http_timeout,
                    self.config.retry_deadline,
                )

        class SqlClient(BigQuerySqlClient):
            @contextmanager
            def execute_query(self, query: Any, *args: Any, **kwargs: Any) -> Iterator[Any]:
                with super().execute_query(query, *args, **kwargs) as cursor:
                    try:
                        bill.add(getattr(cursor.native_cursor, "query_job", None))
                    except GoogleAPIError as error:  # the query itself has succeeded
                        logger.debug(f"What a query was billed is not known: {error}")
                    yield cursor

        return Client


def make_bigquery(replace_strategy: str, task: str = "") -> BilledBigQuery:
    """Returns the destination.

    Args:
        replace_strategy: dlt's name of how a dictionary is replaced.
        task: name of one of several parallel tasks, each with its own staging dataset.

    Raises:
        ConfigurationError: an emulator is to be used, and no project is configured.
    """
    staging = {"staging_dataset_name_layout": f"%s_staging_{task}"} if task else {}
    credentials = _emulator_credentials() if EMULATOR in os.environ else None
    return BilledBigQuery(credentials, replace_strategy=replace_strategy, **staging)


def _emulator_credentials() -> GcpServiceAccountCredentials:
    """Credentials for an emulator of BigQuery: a project's name, and nothing secret.

    Raises:
        ConfigurationError: no project is configured.
    """
    settings = ("destination.bigquery.project_id", "destination.bigquery.credentials.project_id")
    configured: list[Any] = [dlt.config.get(name) for name in settings]
    project = next(filter(None, configured), None)
    if not project:
        raise ConfigurationError(f"{settings[0]}: {EMULATOR} is set, and an emulator needs a project name.")
    credentials = GcpServiceAccountCredentials()
    credentials.project_id = project
    credentials._set_default_credentials(AnonymousCredentials())  # type: ignore[no-untyped-call]
    credentials.__is_resolved__ = True
    return credentials


class BigQueryDataset:
    """Metadata of a dataset, requested from BigQuery beside dlt, within `destination.bigquery.retry_deadline`.

    Args:
        client: dlt's client of the destination, connected.

    Attributes:
        name: project and dataset.
        location: where a new dataset is created.
    """

    def __init__(self, client: Any) -> None:
        self.name = client.sql_client.fully_qualified_dataset_name(quote=False)
        self.location = client.config.location
        self._google = client.sql_client.native_connection
        self._limits = {
            "retry": DEFAULT_RETRY.with_deadline(client.config.retry_deadline),
            "timeout": client.config.http_timeout,
        }

    def check_location(self) -> None:
        """Checks the existing dataset's location against the configured one.

        dlt's first request is a query, which Google's client tries for ten minutes where nobody responds; this one
        ends with the retry deadline. A missing dataset is created by the load. The staging dataset is not looked at:
        a reader, for `status`, need not see it.

        Raises:
            ConfigurationError: the dataset is in another location.
        """
        found = self._get("get_dataset")
        if found and found.location and found.location.upper() != self.location.upper():
            raise ConfigurationError(
                f"destination.bigquery.location: it is {self.location}, and the dataset {self.name} is in "
                f"{found.location}, for good. Set it to {found.location}, or delete the dataset."
            )

    def checked_columns(self, resource: Resource) -> list[str] | None:
        """Returns the columns of a resource's existing table; None if there is none.

        Raises:
            ConfigurationError: a column has another type than the catalog's.
        """
        table = self._get("get_table", f".{resource.name}")
        if table is None:
            return None
        declared = {**resource.fields, **resource.computed}
        for column in table.schema:
            types = COLUMN_TYPES[declared[column.name].type] if column.name in declared else (column.field_type,)
            if column.field_type not in types or column.mode == "REPEATED":
                raise ConfigurationError(
                    f"The table {self.name}.{resource.name} has another shape: {column.name} is {column.mode} "
                    f"{column.field_type} there, and {types[0]} here. Was it created by something else? Rename it, "
                    "or load into another dataset: dataset_name in .dlt/config.toml."
                )
        return [column.name for column in table.schema]

    def _get(self, method: str, name: str = "") -> Any:
        try:
            return getattr(self._google, method)(self.name + name, **self._limits)
        except NotFound:
            return None


@contextmanager
def open_dataset(destination: Destination[Any, Any], dataset_name: str) -> Iterator[BigQueryDataset]:
    """Connects to a dataset for metadata requests."""
    with open_client(destination, dataset_name) as client:
        yield BigQueryDataset(client)
