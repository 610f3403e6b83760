"""dlt's BigQuery destination with what Google's own BigQuery needs beyond it, and metadata requests beside dlt.

What queries are billed is summed up: the job behind each is requested as it ends. A user may read the jobs that they
started, so this needs no role beyond those for loading; listing jobs would.
"""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from datetime import UTC, datetime, timedelta
from threading import Lock
from typing import Any

import dlt
from dlt.common import logger
from dlt.common.configuration.specs import GcpServiceAccountCredentials
from dlt.common.destination import Destination
from dlt.common.destination.reference import DestinationReference
from dlt.common.storages.load_package import ParsedLoadJobFileName, load_package_state
from dlt.destinations.exceptions import DatabaseTerminalException
from dlt.destinations.impl.bigquery.bigquery import BigQueryClient
from dlt.destinations.impl.bigquery.sql_client import BigQuerySqlClient
from google.api_core.exceptions import BadRequest, Forbidden, GoogleAPIError, NotFound, Unauthorized
from google.auth.credentials import AnonymousCredentials
from google.cloud import bigquery
from google.cloud.bigquery import DEFAULT_RETRY
from tenacity import Retrying, retry_if_exception, stop_after_attempt, wait_random_exponential

from ..catalog import LIST, OBJECT, Resource
from ..exceptions import ConfigurationError
from ..extract.manifest import Manifest, current_manifests
from ..settings import SOURCE_SECTION
from .bigquery_lock import LOAD_LOCK, MERGE_LOCK, hold_table_lock
from .bigquery_merge import Chain, merge_script, transaction
from .destinations import BUSY_REASONS, open_client
from .lease import Lease, is_held, patience
from .merge import absent_rows, check_merges, requested_part

EMULATOR = "BIGQUERY_EMULATOR_HOST"
"""Environment variable that Google's client takes for the address of an emulator, `http://127.0.0.1:9050`."""

STAGED_FOR = timedelta(days=1)
"""How long a dead load's staging tables are kept."""

MERGE_MINUTES = 60.0
"""How long a task waits for the merges of others."""

COLUMN_TYPES = {
    "bigint": ("INTEGER", "INT64"),
    "double": ("FLOAT", "FLOAT64"),
    "bool": ("BOOLEAN", "BOOL"),
    "text": ("STRING",),
    "timestamp": ("TIMESTAMP",),
    "date": ("DATE",),
    "json": ("JSON",),
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


class SqlClient(BigQuerySqlClient):
    """dlt's SQL client, which adds its queries to a bill, and gives each load package staging tables of its own."""

    bill: Bill

    @contextmanager
    def execute_query(self, query: Any, *args: Any, **kwargs: Any) -> Iterator[Any]:
        """Executes a query, as dlt does."""
        with super().execute_query(query, *args, **kwargs) as cursor:
            try:
                self.bill.add(getattr(cursor.native_cursor, "query_job", None))
            except GoogleAPIError as error:  # the query itself has succeeded
                logger.debug(f"What a query was billed is not known: {error}")
            yield cursor

    def make_qualified_table_name_path(self, table_name: str | None, *args: Any, **kwargs: Any) -> list[str]:
        """A table's name; of a staging table while a load package is loaded: with the package's number."""
        if table_name and self.is_staging_dataset_active:
            table_name = f"{table_name}__{load_package_state()['load_id'].replace('.', '_')}"
        return super().make_qualified_table_name_path(table_name, *args, **kwargs)


class Client(BigQueryClient):
    """dlt's job client, with what Google's own BigQuery needs beyond it.

    - A load job that dlt sends again is not sent while an earlier try runs or has succeeded: its rows would be staged
      twice.
    - Staging tables belong to one load package. They have no partitions, are deleted after the merge, and expire if
      the load dies. Neither a second load nor a late job of a dead one can change them.
    - Everything that a package has staged is merged by one script when all of it is there; see `bigquery_merge`.
    - Tables are created and merged under a lock, so parallel tasks take turns.
    """

    owner: "BigQuery"
    """The destination: its clients share what is noted there."""

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
        self.sql_client.bill = self.owner.bill
        self.sql_client._default_query.maximum_bytes_billed = self.owner.maximum_bytes_billed

    def initialize_storage(self, truncate_tables: Iterable[str] | None = None) -> None:
        """Creates the dataset; in the staging dataset also the tables that dlt would empty."""
        # not BigQueryClient's own, which runs a script about tables whose columns BigQuery detects; there are none
        super(BigQueryClient, self).initialize_storage([] if self.in_staging_dataset_mode else truncate_tables or [])
        if not self.in_staging_dataset_mode:
            return
        google, expires = self.sql_client.native_connection, datetime.now(UTC) + STAGED_FOR
        for name in truncate_tables or ():
            table: Any = self.prepare_load_table(name)
            columns = [
                bigquery.SchemaField(key, self.type_mapper.to_destination_type(column, table))
                for key, column in table["columns"].items()
            ]
            staged = bigquery.Table(self.sql_client.make_qualified_table_name(name, quote=False), columns)
            staged.expires = expires
            google.create_table(staged, exists_ok=True, **self._limits)
            self.owner.staged.setdefault(load_package_state()["load_id"], []).append(str(staged.reference))

    def update_stored_schema(self, *args: Any, **kwargs: Any) -> Any:
        """Creates tables and columns in the dataset, once for all tasks; staging tables have their columns already."""
        return {} if self.in_staging_dataset_mode else super().update_stored_schema(*args, **kwargs)

    def _execute_schema_update_sql(self, *args: Any, **kwargs: Any) -> Any:
        with self._merge_lock():
            return super()._execute_schema_update_sql(*args, **kwargs)

    def _create_load_job(self, table: Any, file_path: str) -> bigquery.LoadJob:
        """Starts a load job; or finds the earlier try of it that runs or has succeeded, whatever dlt knows of it."""
        file = ParsedLoadJobFileName.parse(file_path)
        for tries in range(file.retry_count):
            earlier = file._replace(retry_count=tries).file_name()
            with suppress(NotFound):
                job = self._retrieve_load_job(earlier)
                if not (job.done() and job.error_result):
                    return job
        try:
            return super()._create_load_job(table, file_path)
        except NotFound:  # the upload has ended, and its answer was lost; or there is no such table
            with suppress(NotFound):
                return self._retrieve_load_job(file_path)
            raise
        except (BadRequest, Forbidden, Unauthorized) as error:  # dlt would try it again five times
            if BigQuerySqlClient._get_reason_from_errors(error) in BUSY_REASONS:
                raise
            raise DatabaseTerminalException(error) from error

    def create_table_chain_completed_followup_jobs(self, table_chain: Any, completed: Any = None) -> Any:
        """Notes a table that is to be merged when everything is staged."""
        if self.should_load_data_to_staging_dataset(table_chain[0]["name"]):
            self.owner.chains.setdefault(load_package_state()["load_id"], []).append(requested_part(table_chain))
            return []
        return super().create_table_chain_completed_followup_jobs(table_chain, completed)

    def complete_load(self, load_id: str) -> None:
        """Merges what the load package has staged, looks its keys up, and notes that it ended."""
        self.owner.lease()
        manifests = current_manifests()
        self.merge_staged(manifests, load_id)
        check_merges(self, manifests, load_id)
        super().complete_load(load_id)
        self.drop_staged(load_id)

    def merge_staged(self, manifests: Mapping[str, Manifest], load_id: str) -> None:
        """Merges what a load package has staged; a failure is final, a conflict with another query is not.

        Args:
            manifests: the package's manifests by table.
            load_id: the load package.
        """
        chains = self.owner.chains.pop(load_id, [])
        script = merge_script(chains, manifests, self.sql_client, load_id)
        staged = {chain[0]["name"] for chain in chains}
        absent = absent_rows(self, {name: one for name, one in manifests.items() if name not in staged}, load_id)
        script += [transaction(absent)] if absent else []
        if script:
            with self._merge_lock():
                self.owner.lease()  # others may have been waited for
                for attempt in merge_attempts():
                    with attempt:
                        self.sql_client.execute_many(script)  # whole transactions in each query

    def drop_staged(self, load_id: str) -> None:
        """Deletes the staging tables of the load package; those that cannot be deleted expire."""
        google = self.sql_client.native_connection
        for staged in self.owner.staged.pop(load_id, []):
            try:
                google.delete_table(staged, not_found_ok=True, **self._limits)
            except GoogleAPIError as error:
                logger.warning(f"{staged} could not be deleted, and expires in a day: {error}")

    @contextmanager
    def _merge_lock(self) -> Iterator[None]:
        table = self.sql_client.make_qualified_table_name(MERGE_LOCK, quote=False)
        connection = bigquery.Client(
            self.sql_client.project_id, self.config.credentials.to_native_credentials(), location=self.config.location
        )
        wait = patience(MERGE_MINUTES)
        with closing(connection), hold_table_lock(connection, table, self._limits, wait, self.owner.folder):
            yield

    @property
    def _limits(self) -> dict[str, Any]:
        return request_limits(self.config)


def merge_attempts() -> Retrying:
    """Attempts at a merge: BigQuery cancels a transaction that conflicts with another one, and asks to try again."""
    return Retrying(
        retry=retry_if_exception(is_conflict),
        wait=wait_random_exponential(multiplier=2, max=60),
        stop=stop_after_attempt(10),
        reraise=True,
    )


def is_conflict(error: BaseException) -> bool:
    """True if BigQuery refused a statement only because another one was at work on the table.

    There is no code for it; the words are from https://cloud.google.com/bigquery/docs/error-messages and reports.
    """
    return any(words in str(error) for words in ("concurrent update", "Could not serialize access"))


def request_limits(config: Any) -> dict[str, Any]:
    """`retry` and `timeout` of a request to BigQuery beside dlt, by dlt's configuration of the destination."""
    return {"retry": DEFAULT_RETRY.with_deadline(config.retry_deadline), "timeout": config.http_timeout}


class BigQuery(dlt.destinations.bigquery):
    """dlt's BigQuery destination with this project's client; to dlt it is the same destination.

    Args:
        credentials: credentials; dlt's configuration where there are none.
        task: name of one of several parallel tasks, for its lease.
        maximum_bytes_billed: what one query may bill; a dearer one is refused before it runs.
        **settings: dlt's own settings of the destination, such as `replace_strategy`.

    Attributes:
        bill: what the queries were billed.
        folder: name of dlt's working folder; see `exclusive_run`.
        lease: checks the lease on the dataset.
        chains: tables that are to be merged, with their child tables, by load package.
        staged: staging tables, by load package.
    """

    __orig_base__ = dlt.destinations.bigquery  # by whose arguments dlt knows what was given from defaults

    def __init__(
        self,
        credentials: GcpServiceAccountCredentials | None,
        task: str = "",
        maximum_bytes_billed: int | None = None,
        **settings: Any,
    ) -> None:
        self.bill = Bill()
        self.maximum_bytes_billed = maximum_bytes_billed
        self.task = task
        self.folder = ""
        self.lease: Lease = is_held
        self.chains: dict[str, list[Chain]] = {}
        self.staged: dict[str, list[str]] = {}
        super().__init__(credentials, destination_name="bigquery", **settings)  # type: ignore[arg-type]

    @property
    def destination_type(self) -> str:
        """dlt's own, by which pipelines and their states know it."""
        return DestinationReference.normalize_type("bigquery")

    @property
    def client_class(self) -> type[BigQueryClient]:
        """The job client, which knows its destination."""
        return type("Client", (Client,), {"owner": self})


def make_bigquery(replace_strategy: str, task: str = "") -> BigQuery:
    """Returns the destination.

    Args:
        replace_strategy: dlt's name of how a dictionary is replaced.
        task: name of one of several parallel tasks.

    Raises:
        ConfigurationError: an emulator is to be used, and no project is configured.
    """
    credentials = _emulator_credentials() if EMULATOR in os.environ else None
    limit: Any = dlt.config.get(f"{SOURCE_SECTION}.maximum_bytes_billed", int)
    # dlt's default for a bucket, parquet, cannot be loaded into JSON columns
    formats = {"preferred_staging_file_format": "jsonl"}
    return BigQuery(credentials, task, limit, replace_strategy=replace_strategy, **formats)


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
        self._limits = request_limits(client.config)

    def check(self) -> None:
        """Checks the existing dataset's location against the configured one, and that nothing in it expires.

        dlt's first request is a query, which Google's client tries for ten minutes where nobody responds; this one
        ends with the retry deadline. A missing dataset is created by the load. The staging dataset is not looked at:
        a reader, for `status`, need not see it.

        Raises:
            ConfigurationError: the dataset is in another location, or has a default expiration, as all have in a
                project without billing.
        """
        found = self._get("get_dataset")
        if found is None:
            return
        if found.location and found.location.upper() != self.location.upper():
            raise ConfigurationError(
                f"destination.bigquery.location: it is {self.location}, and the dataset {self.name} is in "
                f"{found.location}, for good. Set it to {found.location}, or delete the dataset."
            )
        if milliseconds := found.default_table_expiration_ms or found.default_partition_expiration_ms:
            raise ConfigurationError(
                f"The dataset {self.name} lets what is loaded expire after {milliseconds / 86_400_000:.0f} days. In a "
                "project without billing (the BigQuery sandbox) that cannot be changed, and BigQuery refuses to merge: "
                "enable billing first. Then: bq update --default_table_expiration 0 --default_partition_expiration 0 "
                f"{self.name.replace('.', ':')}"
            )

    def checked_columns(self, resource: Resource) -> list[str] | None:
        """Returns the columns of a resource's existing table; None if there is none.

        Raises:
            ConfigurationError: a column has another type than the catalog's.
        """
        table = self._get("get_table", f".{resource.name}")
        if table is None:
            return None
        if table.expires:
            raise ConfigurationError(
                f"The table {self.name}.{resource.name} expires on {table.expires:%Y-%m-%d}: it was created in a "
                "project without billing, or in a dataset with a default expiration. Keep it: bq update --expiration 0 "
                f"{self.name.replace('.', ':')}.{resource.name}, and likewise the others; or load into another dataset."
            )
        declared = {**resource.fields, **resource.computed}
        for column in table.schema:
            types = COLUMN_TYPES[declared[column.name].type] if column.name in declared else (column.field_type,)
            if EMULATOR in os.environ and types == COLUMN_TYPES["json"]:
                types = (*types, "STRING")  # as bqemulator 1.4 names it
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


@contextmanager
def hold_load_lock(destination: BigQuery, dataset_name: str, wait: Callable[[], bool], folder: str) -> Iterator[Lease]:
    """Holds the lock on a dataset for a load, or for one of several parallel tasks; creates the dataset.

    Raises:
        BusyError: another load holds it.
        ConfigurationError: what is loaded would expire.
    """
    destination.folder = folder
    with open_client(destination, dataset_name) as client:
        if not client.is_storage_initialized():
            client.sql_client.create_dataset()
            try:
                BigQueryDataset(client).check()
            except ConfigurationError:
                client.sql_client.drop_dataset()
                raise
        name = "_".join(filter(None, (LOAD_LOCK, destination.task)))
        table = client.sql_client.make_qualified_table_name(name, quote=False)
        google = client.sql_client.native_connection
        with hold_table_lock(google, table, request_limits(client.config), wait, folder) as check:
            destination.lease = check
            yield check
