"""Chooses the destination by name, with what each needs to be loaded well: dlt's configuration decides the rest."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any, cast

import dlt
from dlt import Schema
from dlt.common.destination import Destination
from dlt.common.destination.reference import DestinationReference
from dlt.destinations.impl.duckdb.configuration import DuckDbCredentials

from ..exceptions import ConfigurationError
from ..redaction import printable

AnyDestination = Destination[Any, Any]

DATABASE = "comagic_pipeline.duckdb"
DATASET = "comagic"

BUSY_REASONS = {"rateLimitExceeded", "jobRateLimitExceeded", "backendError", "internalError", "tableUnavailable"}
"""BigQuery's reasons, in whatever status, for what passes; a quota of a day (`quotaExceeded`) is over tomorrow."""

BIGQUERY = "dlt.destinations.bigquery"
DUCKDB = "dlt.destinations.duckdb"
DUCKLAKE = "dlt.destinations.ducklake"
POSTGRES = "dlt.destinations.postgres"
"""dlt's types of destinations."""

REPLACE: Any = "insert-from-staging"
"""How dlt replaces a dictionary: rows are loaded into a staging table, then swapped in, in DuckDB in one transaction.
By default it would empty the table first, and a reader would find nothing while the load lasts."""

PACKAGE_ROWS, LARGE_PACKAGE_ROWS = 50_000, 200_000
"""Rows after which a load package is committed, by default; at a window's end, so up to 110,000 rows more. Large
packages save time, since each takes half a second or more, and money in BigQuery; small ones save memory."""

DUCKDB_MEMORY = {"threads": 1, "preserve_insertion_order": False}
"""Settings of DuckDB that save the memory of buffers for other threads; a load takes as long as without them."""

DUCKDB_MEGABYTES = 40
DUCKDB_MEGABYTES_PER_COLUMN, DUCKDB_MEGABYTES_PER_COLUMN_OF_LARGE_PACKAGES = 3.5, 5.5
"""Memory that DuckDB may take. A merge of 100,000 rows needs 2 to 3 MB a column, one of 200,000 rows into a million
between 3.5 and 5.5 (measured with DuckDB 1.5); the rest DuckDB would fill with what it has read of the table, and a
load would take more memory with each year."""


LAKE_CONFIG = "destination.ducklake.credentials.global_config"
LAKE_SETTING = "ducklake_default_data_inlining_row_limit"
"""Has to be 0: with data inlining a lake reserves the name `row_id`, a column of reports without a key of their own."""


def choose_destination(name: str | None = None, database: str = "", task: str = "") -> AnyDestination:
    """Returns the destination by name, or by dlt's own configuration (`destination_type`); DuckDB by default.

    Args:
        name: name of a dlt destination.
        database: DuckDB file, relative to the current folder, which is used whatever the configuration says.
        task: name of one of several parallel tasks, each with its own lease.
    """
    configured: Any = None if database else dlt.config.get("destination_type")
    chosen = str(name or configured or "duckdb")
    kind = DestinationReference.normalize_type(chosen)
    with package_of(chosen):
        if kind == BIGQUERY:
            from .bigquery import make_bigquery  # Google's client takes its time to import

            return make_bigquery(REPLACE, task)
        if kind == DUCKDB:
            return _choose_duckdb(database)
        if kind == DUCKLAKE and dlt.secrets.get(LAKE_CONFIG) is None:
            dlt.secrets[LAKE_CONFIG] = {LAKE_SETTING: 0}
        return cast(AnyDestination, Destination.from_reference(chosen))


def _choose_duckdb(database: str) -> AnyDestination:
    from .duckdb_json import TypedDuckDb  # imports DuckDB

    options: dict[str, Any] = {
        "supports_transactions": True,  # or a merge is several commits, and a reader in between sees half of it
        "max_parallel_load_jobs": 1,
        "replace_strategy": REPLACE,
        # dlt's default, INSERT, is a hundred times slower
        "preferred_loader_file_format": "parquet" if has_pyarrow() else "jsonl",
    }
    files: list[Any] = [provider.get("destination.duckdb.credentials") for provider in (dlt.config, dlt.secrets)]
    if any(files) and not database:
        return cast(AnyDestination, TypedDuckDb(**options))
    # A file named like the dataset would make DuckDB's names ambiguous, so dlt's default, comagic.duckdb, is out.
    file = current_folder() / (database or DATABASE)
    if "?" in str(file):
        raise ConfigurationError(
            f"destination.duckdb.credentials: DuckDB cannot write {file}: it takes what follows ? for options. Start "
            "the program in another folder, or set another file."
        )
    return cast(AnyDestination, TypedDuckDb(DuckDbCredentials(str(file), global_config=DUCKDB_MEMORY), **options))


@contextmanager
def package_of(destination: str) -> Iterator[None]:
    """Says which package to install where its `with` block imports one that is not.

    Args:
        destination: name or type of the destination.

    Raises:
        ConfigurationError: a package is not installed.
    """
    try:
        yield
    except ImportError as error:
        name = destination.rpartition(".")[2]
        raise ConfigurationError(
            f"destination_type (--destination): {name} needs a package that is not installed "
            f'({printable(str(error))}). Install it: pip install "dlt[{name}]".'
        ) from error


def has_pyarrow() -> bool:
    """True if parquet files can be written."""
    return find_spec("pyarrow") is not None


def limit_memory(destination: AnyDestination, columns: int, package_rows: int = PACKAGE_ROWS) -> None:
    """Limits the memory that DuckDB takes during a load to what merging a table needs; it spills to disk.

    Args:
        destination: the destination; one with credentials of the user's own stays as it is.
        columns: columns of the widest table.
        package_rows: rows of a load package: more than 50,000 need more.
    """
    is_large = not 0 < package_rows <= PACKAGE_ROWS
    per_column = DUCKDB_MEGABYTES_PER_COLUMN_OF_LARGE_PACKAGES if is_large else DUCKDB_MEGABYTES_PER_COLUMN
    credentials = destination.config_params.get("credentials")
    if isinstance(credentials, DuckDbCredentials):
        megabytes = DUCKDB_MEGABYTES + math.ceil(per_column * columns)
        credentials.global_config = {**DUCKDB_MEMORY, "memory_limit": f"{megabytes}MB"}


def read_only(destination: AnyDestination) -> AnyDestination:
    """Opens a DuckDB file to read it alone: beside other readers, and without permission to write it.

    Args:
        destination: the destination; one with credentials of the user's own stays as it is.
    """
    credentials = destination.config_params.get("credentials")
    if isinstance(credentials, DuckDbCredentials):
        credentials.read_only = True
    return destination


def default_package_rows(destination: AnyDestination, has_workers: bool) -> int:
    """Rows of a load package where none are configured.

    They are many in BigQuery, where each package costs (docs/bigquery.md, Cost), and where two processes normalize.

    Args:
        destination: the destination.
        has_workers: whether two processes normalize large packages.
    """
    is_large = has_workers or destination.destination_type == BIGQUERY
    return LARGE_PACKAGE_ROWS if is_large else PACKAGE_ROWS


def choose_staging(url: str | None) -> AnyDestination | None:
    """Returns dlt's staging destination: load jobs take their files from a bucket rather than from this machine.

    Args:
        url: `gs://bucket/folder`; None for dlt's own configuration (`staging_type`).
    """
    return dlt.destinations.filesystem(url) if url else None


def choose_dataset() -> str:
    """Returns the dataset's name: dlt's setting `dataset_name` (environment: DATASET_NAME), else `comagic`."""
    configured: Any = dlt.config.get("dataset_name")
    return str(configured or DATASET)


def is_missing_file(destination: AnyDestination, dataset_name: str) -> bool:
    """True for a DuckDB file that does not exist: a query would create it."""
    file = duckdb_file(destination, dataset_name)
    return file is not None and not file.exists()


def duckdb_file(destination: AnyDestination, dataset_name: str) -> Path | None:
    """Returns the file of a DuckDB database; None for a database in memory, and for other destinations."""
    credentials = destination.configuration(destination.spec()._bind_dataset_name(dataset_name)).credentials
    if not isinstance(credentials, DuckDbCredentials) or not isinstance(credentials.database, str):
        return None
    return None if credentials.database.startswith((":", "md:")) else Path(credentials.database).absolute()


@contextmanager
def open_client(destination: AnyDestination, dataset_name: str, schema: Schema | None = None) -> Iterator[Any]:
    """Connects dlt's job client of a destination; without dlt's schema, since reading it would be a query."""
    spec = destination.spec()._bind_dataset_name(dataset_name)
    client: Any = destination.client(schema or Schema("comagic"), spec)
    with client:
        yield client


def current_folder() -> Path:
    """Where the program was started, as dlt sees it (DLT_LOCAL_DIR overrides it): the DuckDB file's folder."""
    return Path(dlt.current.run_context().local_dir).absolute()
