"""Destinations to load into and query: a DuckDB file, and a project in the BigQuery emulator."""

import re
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import Any

import dlt
import duckdb
import psycopg2
from dlt.extract import DltSource
from google.auth.credentials import AnonymousCredentials
from google.cloud import bigquery

from comagic import KeyCredentials
from comagic.api.client import DataApiClient
from comagic.api.credentials import Credentials
from comagic.catalog import resources
from comagic.extract.context import Context, open_client
from comagic.extract.progress import Progress
from comagic.extract.resources import make_source
from comagic.sandbox import SandboxServer
from comagic.sandbox.switches import KEY
from comagic.settings import resolve_settings

DUCKDB_TYPES = {
    "bigint": "BIGINT",
    "double": "DOUBLE",
    "bool": "BOOLEAN",
    "text": "VARCHAR",
    "timestamp": "TIMESTAMP WITH TIME ZONE",
    "json": "JSON",
    "date": "DATE",
}
"""DuckDB's column type for each type of the catalog."""


def sandbox_source(
    sandbox: SandboxServer,
    *names: str,
    credentials: Credentials | None = None,
    client: DataApiClient | None = None,
    progress: Progress | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    present: datetime | None = None,
    **settings: Any,
) -> DltSource:
    """Returns a source that reads a sandbox's account, its whole period in one load package.

    Args:
        sandbox: the sandbox.
        *names: resources to select; default: calls.
        credentials: default: the sandbox's key.
        client: a client to share between runs.
        progress: see `Context`.
        since: see `Context`.
        until: see `Context`.
        present: see `Context`.
        **settings: settings of `[sources.comagic]`.
    """
    resolved = resolve_settings(**{"load_package_rows": 0, **settings})
    if client is None:
        credentials = credentials or KeyCredentials(access_token=KEY)
        client = open_client(resolved, credentials=credentials, base_url=sandbox.base_url)
    context = Context(resolved, client, since, until, progress=progress, present=present)
    source = make_source([(context, list(resources().values()))])
    return source.with_resources(*names) if names else source


class Warehouse:
    """A DuckDB file, a pipeline that loads into it, and queries of its tables."""

    def __init__(self, folder: Path, name: str = "comagic") -> None:
        self.file = folder / f"{name}_pipeline.duckdb"
        self.environment: dict[str, str] = {}
        self.pipeline = dlt.pipeline(
            pipeline_name=name,
            destination=dlt.destinations.duckdb(str(self.file), supports_transactions=True),
            dataset_name="comagic",
            pipelines_dir=str(folder / f"{name}_pipelines"),
        )

    def load(self, sandbox: SandboxServer, **settings: Any) -> None:
        """Runs the pipeline once; for the keyword arguments see `sandbox_source`."""
        source = sandbox_source(sandbox, **settings)
        self.pipeline.run(source, loader_file_format="parquet").raise_on_failed_jobs()

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        """Returns the rows of a query, times in UTC."""
        with duckdb.connect(str(self.file), read_only=True) as connection:
            connection.execute("SET TimeZone = 'UTC'; SET search_path = 'comagic'")
            return connection.execute(sql).fetchall()

    def execute(self, *statements: str) -> None:
        """Changes the tables, as somebody else would; table names follow FROM, INTO or UPDATE."""
        with duckdb.connect(str(self.file)) as connection:
            connection.execute("SET search_path = 'comagic'")
            for statement in statements:
                connection.execute(statement)

    def calls(self) -> dict[int, dict[str, Any]]:
        """Returns the loaded calls by id: child rows as lists again, times in UTC."""
        found = {row["id"]: row for row in self._rows("calls")}
        by_key = {row["_dlt_id"]: row for row in found.values()}
        for name in self._lists():
            for row in found.values():
                row[name] = []
            for child in self._rows(f"calls__{name}", "_dlt_list_idx"):
                parent = by_key[child["_dlt_root_id"]]  # a KeyError if the child row has no parent
                assert child["partition_date"] == parent["partition_date"]
                item = {key: value for key, value in child.items() if not key.startswith("_dlt")}
                del item["partition_date"]
                parent[name].append(item["value"] if list(item) == ["value"] else item)
        return {
            key: {n: v for n, v in row.items() if not n.startswith("_dlt") and n != "row_hash"}
            for key, row in found.items()
        }

    def rows(self, table: str, order: str = "id") -> list[dict[str, Any]]:
        """Returns all rows of a table, ordered by a column; times in UTC."""
        return self._rows(table, order)

    def tables(self) -> dict[str, list[dict[str, Any]]]:
        """Returns all rows of all tables by name, times in UTC."""
        found = {}
        with duckdb.connect(str(self.file), read_only=True) as connection:
            connection.execute("SET TimeZone = 'UTC'; SET search_path = 'comagic'")
            sql = "SELECT table_name FROM information_schema.tables WHERE table_schema = 'comagic'"
            for (name,) in connection.execute(sql).fetchall():
                result = connection.execute(f'SELECT * FROM "{name}"')
                columns = [column[0] for column in result.description]
                found[name] = [dict(zip(columns, row, strict=True)) for row in result.fetchall()]
        return found

    def columns(self, table: str) -> dict[str, str]:
        """Returns the types of a table's columns by name, without those that dlt adds."""
        found = self.query(
            "SELECT column_name, data_type FROM information_schema.columns "
            f"WHERE table_schema = 'comagic' AND table_name = '{table}' ORDER BY ordinal_position"
        )
        return {name: kind for name, kind in found if not name.startswith("_dlt")}

    def view_columns(self, name: str) -> list[str]:
        """Returns the columns of a view, in their order."""
        found = self.query(
            "SELECT column_name FROM information_schema.columns "
            f"WHERE table_schema = 'comagic' AND table_name = '{name}' ORDER BY ordinal_position"
        )
        return [column for (column,) in found]

    def _lists(self) -> list[str]:
        tables = self.query("SELECT table_name FROM information_schema.tables WHERE table_schema = 'comagic'")
        return [name.removeprefix("calls__") for (name,) in tables if name.startswith("calls__")]

    def _rows(self, table: str, order: str = "id") -> list[dict[str, Any]]:
        columns = self.query(
            "SELECT column_name FROM information_schema.columns "
            f"WHERE table_schema = 'comagic' AND table_name = '{table}' ORDER BY ordinal_position"
        )
        names = [name for (name,) in columns]
        listed = ", ".join(f'"{name}"' for name in names)
        rows = self.query(f"SELECT {listed} FROM {table} ORDER BY {order}")
        return [dict(zip(names, row, strict=True)) for row in rows]


class BigQuery(Warehouse):
    """A dataset of a project in the BigQuery emulator, and queries of its tables."""

    def __init__(self, host: str, project: str, dataset: str = "comagic") -> None:
        self.project = project
        self.dataset = dataset
        self.environment = {
            "BIGQUERY_EMULATOR_HOST": host,
            "DESTINATION_TYPE": "bigquery",
            "DESTINATION__BIGQUERY__PROJECT_ID": project,
            "DATA_WRITER__DISABLE_COMPRESSION": "true",  # the emulator cannot read gzip
        }
        self.client = bigquery.Client(project, AnonymousCredentials(), client_options={"api_endpoint": host})  # type: ignore[no-untyped-call]

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        """Returns the rows of a query, times in UTC. The emulator resolves only qualified table names."""
        qualified = re.sub(r"\b(FROM|JOIN) (?=[a-z_])", rf"\1 `{self.project}`.{self.dataset}.", sql)
        return [tuple(row.values()) for row in self.client.query_and_wait(qualified)]

    def view_columns(self, name: str) -> list[str]:
        """Returns the columns of a view, in their order."""
        qualified = f"`{self.project}`.{self.dataset}.{name}"
        return [field.name for field in self.client.query_and_wait(f"SELECT * FROM {qualified} LIMIT 1").schema]

    def execute(self, *statements: str) -> None:
        """Changes the tables, as somebody else would; table names follow FROM, INTO or UPDATE."""
        for statement in statements:
            qualified = rf"\1 `{self.project}`.{self.dataset}."
            self.client.query_and_wait(re.sub(r"\b(FROM|INTO|UPDATE) (?=[a-z_])", qualified, statement))

    def statements(self) -> list[str]:
        """Returns the SQL of all queries that the project has run, oldest first."""
        return [job.query for job in self.client.list_jobs() if job.job_type == "query"][::-1]

    def _lists(self) -> list[str]:
        names = [table.table_id for table in self.client.list_tables(self.dataset)]
        return [name.removeprefix("calls__") for name in names if name.startswith("calls__")]

    def tables(self) -> dict[str, list[dict[str, Any]]]:
        """Returns all rows of all tables by name, times in UTC."""
        names = [table.table_id for table in self.client.list_tables(self.dataset)]
        return {name: self._rows(name, "1") for name in names}

    def _rows(self, table: str, order: str = "id") -> list[dict[str, Any]]:
        qualified = f"`{self.project}`.{self.dataset}.{table}"
        found = self.client.query_and_wait(f"SELECT * FROM {qualified} ORDER BY {order}")
        return [dict(row.items()) for row in found]


class PostgreSQL(Warehouse):
    """A database of a PostgreSQL server, and queries of its tables."""

    def __init__(self, address: str, database: str) -> None:
        # dlt wants a host and a password; the client takes the socket's folder that comes after them
        self.address = address.replace("postgres:@/postgres?", f"postgres:none@localhost/{database}?")
        self.environment = {
            "DESTINATION_TYPE": "postgres",
            "DESTINATION__POSTGRES__CREDENTIALS": self.address,
        }
        with closing(psycopg2.connect(address)) as connection:
            connection.autocommit = True
            connection.cursor().execute(f"CREATE DATABASE {database}")

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        """Returns the rows of a query, times in UTC."""
        with closing(psycopg2.connect(self.address, options="-ctimezone=UTC -csearch_path=comagic")) as connection:
            cursor = connection.cursor()
            cursor.execute(sql)
            return cursor.fetchall()

    def execute(self, *statements: str) -> None:
        """Changes the tables, as somebody else would; table names follow FROM, INTO or UPDATE."""
        with closing(psycopg2.connect(self.address, options="-csearch_path=comagic")) as connection, connection:
            for statement in statements:
                connection.cursor().execute(statement)
