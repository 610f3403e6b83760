"""Where to load: the destination by its name, with what each of them needs to be loaded well."""

import os
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Collection, Dict, Iterator, List, Mapping, Optional, Sequence, cast

import dlt
from dlt import Pipeline
from dlt.common.configuration.specs import GcpServiceAccountCredentials
from dlt.common.destination import Destination
from dlt.destinations.impl.duckdb.configuration import DuckDbCredentials

from ..catalog import LIST, OBJECT, Resource
from ..exceptions import ConfigurationError
from ..extract.context import is_agencys
from ..extract.schema import USER_ID

EMULATOR = "BIGQUERY_EMULATOR_HOST"
"""Variable of the environment that Google's client takes for the address of an emulator, `http://127.0.0.1:9050`."""

BIGQUERY = "dlt.destinations.bigquery"

BIGQUERY_TYPES = {
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
"""BigQuery's names, old and new, of the types that the catalog has."""

REPLACE: Any = "insert-from-staging"
"""How dlt replaces a dictionary: rows are loaded beside, then put in place, in DuckDB in one transaction. By default
it would empty the table first, and a reader would find nothing while the load lasts."""

DUCKDB_MEMORY = {"memory_limit": "500MB", "threads": 1, "preserve_insertion_order": False}
"""Settings of DuckDB under which a load takes as much memory for a million calls as for a hundred thousand, and as
long as without them: by default DuckDB keeps what it has read and buffers for every thread. It uses disk beyond."""


def chosen_destination(name: Optional[str], database: str, fixed: bool, task: str = "") -> Destination[Any, Any]:
    """The destination by name, or by dlt's own configuration; DuckDB by default.

    Args:
        name: what --destination says.
        database: file for DuckDB, relative to the current folder, where the configuration names none.
        fixed: use that file whatever the configuration says.
        task: name of one of several tasks that load at once, each with a staging dataset of its own, `_staging_0`.
    """
    configured: Any = dlt.config.get("destination_type")
    chosen = str(name or ("duckdb" if fixed else configured or "duckdb"))
    kind = chosen.split(".")[-1]
    if chosen in ("bigquery", BIGQUERY):
        from .bigquery import BilledBigQuery  # Google's client takes its time to import

        own = {"staging_dataset_name_layout": f"%s_staging_{task}"} if task else {}
        access = _nobodys_access() if EMULATOR in os.environ else None
        return BilledBigQuery(access, replace_strategy=REPLACE, **own)
    if kind != "duckdb":
        return cast(Destination[Any, Any], Destination.from_reference(chosen))
    places: List[Any] = [of.get("destination.duckdb.credentials") for of in (dlt.config, dlt.secrets)]
    # Without supports_transactions a merge is several commits, and a reader in between sees half of it.
    how: Dict[str, Any] = {"supports_transactions": True, "max_parallel_load_jobs": 1, "replace_strategy": REPLACE}
    if any(places) and not fixed:
        return dlt.destinations.duckdb(**how)
    # A file named like the dataset would make DuckDB's names ambiguous, so dlt's default, comagic.duckdb, is out.
    return dlt.destinations.duckdb(DuckDbCredentials(str(this_folder() / database), global_config=DUCKDB_MEMORY), **how)


def _nobodys_access() -> GcpServiceAccountCredentials:
    """Access to an emulator of BigQuery: a project's name, and no credentials at all.

    Raises:
        ConfigurationError: no project is configured.
    """
    settings = ("destination.bigquery.project_id", "destination.bigquery.credentials.project_id")
    configured: List[Any] = [dlt.config.get(name) for name in settings]
    project = next(filter(None, configured), None)
    if not project:
        raise ConfigurationError(f"{settings[0]}: {EMULATOR} is set, and an emulator needs the name of a project.")
    from google.auth.credentials import AnonymousCredentials

    access = GcpServiceAccountCredentials()
    access.project_id = project
    access._set_default_credentials(AnonymousCredentials())  # type: ignore[no-untyped-call]
    access.__is_resolved__ = True
    return access


def chosen_staging(address: Optional[str]) -> Optional[Destination[Any, Any]]:
    """dlt's staging destination: load jobs take their files from a bucket rather than from this machine.

    Args:
        address: what --staging says, `gs://bucket/folder`; None for dlt's own configuration (`staging_type`).
    """
    return dlt.destinations.filesystem(address) if address else None


def billed_bytes(pipeline: Pipeline) -> Optional[int]:
    """Bytes that the destination billed this process's queries for; None where it reports none."""
    bill = getattr(pipeline.destination, "bill", None)
    return bill.bytes if bill else None


def ask_first(pipeline: Pipeline) -> None:
    """Asks BigQuery for the dataset before anything is read: whether it answers, lets this account in, is in place.

    dlt's first question is a query, which Google's client tries for ten minutes where nobody answers; this one ends
    with `destination.bigquery.retry_deadline` (60 seconds). A dataset that is not there yet is made by the load.
    The staging dataset is not asked for: who only reads, for `status`, need not see it.

    Raises:
        ConfigurationError: a dataset is in another location than the one that is configured.
    """
    with _bigquery(pipeline) as bigquery:
        found = bigquery.found("get_dataset") if bigquery else None
        if bigquery and found and found.location and found.location.upper() != bigquery.location.upper():
            raise ConfigurationError(
                f"destination.bigquery.location: it says {bigquery.location}, and the dataset {bigquery.dataset} is in "
                f"{found.location}, for good. Set it to {found.location}, or delete the dataset."
            )


def refuse_other_shapes(pipeline: Pipeline, wanted: Sequence[Resource], of_clients: bool) -> None:
    """Holds the tables that are there already against what is to be loaded, before anything is read.

    dlt adds columns and never looks at the types of those that are there: a load job would fail after the reading. And
    rows with a client in their key would stand beside the same rows without one.

    Args:
        pipeline: the pipeline.
        wanted: what is to be loaded.
        of_clients: whether several clients of an agency are to be loaded into the same tables.

    Raises:
        ConfigurationError: in BigQuery, a column has another type, so the table is not one that this pipeline made;
            or a table's rows have a client in their key, and those to be loaded have none, or the other way round.
    """
    with _bigquery(pipeline) as bigquery:
        columns = _fitting_columns(bigquery, wanted) if bigquery else _loaded_columns(pipeline)
    for resource in wanted:
        is_other = resource.name in columns and (USER_ID.name in columns[resource.name]) != of_clients
        if is_other and not is_agencys(resource):
            raise ConfigurationError(
                f"sources.comagic.user_ids: the table {resource.name} was loaded "
                f"{'without a client in its key' if of_clients else 'with clients in its key'}. "
                "Load into another dataset: dataset_name in .dlt/config.toml."
            )


def _fitting_columns(bigquery: "_BigQuery", wanted: Sequence[Resource]) -> Mapping[str, Collection[str]]:
    """Columns of the tables that are in BigQuery already; a type that the catalog does not want is refused."""
    found = {}
    for resource in wanted:
        table = bigquery.found("get_table", f".{resource.name}")
        if table is None:
            continue
        declared = {**resource.fields, **resource.computed}
        for column in table.schema:
            types = BIGQUERY_TYPES[declared[column.name].type] if column.name in declared else (column.field_type,)
            if column.field_type not in types or column.mode == "REPEATED":
                raise ConfigurationError(
                    f"The table {bigquery.dataset}.{resource.name} has another shape: {column.name} is "
                    f"{column.mode} {column.field_type} there, and {types[0]} here. Was it made by something "
                    "else? Rename it, or load into another dataset: dataset_name in .dlt/config.toml."
                )
        found[resource.name] = [column.name for column in table.schema]
    return found


def _loaded_columns(pipeline: Pipeline) -> Mapping[str, Collection[str]]:
    """Columns by table, as the last load left them in dlt's schema in the destination; none if there was none."""
    if is_file_to_be(pipeline.destination, pipeline.dataset_name):
        return {}
    dataset = dlt.dataset(pipeline.destination, pipeline.dataset_name)
    with dataset.sql_client as client:
        if not client.has_dataset():
            return {}
    return {str(table["name"]): table["columns"] for table in dataset.schema.data_tables()}


class _BigQuery:
    """Questions to BigQuery itself, beside dlt, each within `destination.bigquery.retry_deadline`."""

    def __init__(self, client: Any) -> None:
        from google.cloud.bigquery import DEFAULT_RETRY

        self.location = client.config.location
        self.dataset = client.sql_client.fully_qualified_dataset_name(quote=False)
        self._connection = client.sql_client.native_connection
        self._patience = {
            "retry": DEFAULT_RETRY.with_deadline(client.config.retry_deadline),
            "timeout": client.config.http_timeout,
        }

    def found(self, method: str, name: str = "") -> Any:
        """What `get_dataset` or `get_table` finds under the dataset's name with `name` added; None if nothing."""
        from google.api_core.exceptions import NotFound

        try:
            return getattr(self._connection, method)(self.dataset + name, **self._patience)
        except NotFound:
            return None


@contextmanager
def _bigquery(pipeline: Pipeline) -> Iterator[Optional[_BigQuery]]:
    """A connection for questions; None where the destination is another."""
    if pipeline.destination.destination_type != BIGQUERY:
        yield None
        return
    client: Any = pipeline.destination_client()
    with client:
        yield _BigQuery(client)


def is_file_to_be(destination: Destination[Any, Any], dataset_name: str) -> bool:
    """True for a DuckDB file that does not exist: to ask it would make one."""
    credentials = destination.configuration(destination.spec()._bind_dataset_name(dataset_name)).credentials
    return isinstance(credentials, DuckDbCredentials) and not Path(credentials.database).exists()


def file_format(pipeline: Pipeline) -> Any:
    """Parquet for DuckDB, where dlt's default is a hundred times slower; dlt's choice elsewhere."""
    return "parquet" if pipeline.destination.destination_name == "duckdb" else None


def this_folder() -> Path:
    """Where the program was started, as dlt sees it (DLT_LOCAL_DIR may say otherwise): the DuckDB file's folder."""
    return Path(dlt.current.run_context().local_dir).absolute()
