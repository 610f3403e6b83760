"""DuckDB loaded from JSON lines, where pyarrow is not installed, with the columns' types.

dlt lets DuckDB guess the types of JSON lines, so a text that looks like a time changes, a key that comes late fails the
load, and so does an empty file. With the types given, both formats load the same rows; tests compare them.
"""

from typing import Any

from dlt.common.destination.client import LoadJob
from dlt.common.destination.typing import PreparedTableSchema
from dlt.destinations import duckdb
from dlt.destinations.impl.duckdb.duck import DuckDbClient, DuckDbCopyJob

INSERT = """
INSERT INTO {table} BY NAME
SELECT {names} FROM read_json({file}, format = 'newline_delimited', columns = {columns}, maximum_object_size = {most})
"""
MAX_ROW_BYTES = 16 * 2**20
"""Of one row as JSON. DuckDB allocates twice as much, whatever the rows have."""


class TypedJsonJob(DuckDbCopyJob):
    """Loads a file of JSON lines.

    Args:
        file_path: the file.
        types: the table's columns with DuckDB's types.
    """

    def __init__(self, file_path: str, types: dict[str, str]) -> None:
        super().__init__(file_path)
        self._types = types

    def run(self) -> None:
        """Copies the file into the table; called by dlt."""
        sql = self._job_client.sql_client
        literal = sql.capabilities.escape_literal
        sql.execute_sql(
            INSERT.format(
                table=sql.make_qualified_table_name(self.load_table_name),
                names=", ".join(map(sql.escape_column_name, self._types)),
                file=literal(self._file_path),
                columns="{" + ", ".join(f"{literal(name)}: '{kind}'" for name, kind in self._types.items()) + "}",
                most=MAX_ROW_BYTES,
            )
        )


class TypedDuckDbClient(DuckDbClient):
    """dlt's client of DuckDB, with `TypedJsonJob`."""

    def create_load_job(
        self, table: PreparedTableSchema, file_path: str, load_id: str, restore: bool = False
    ) -> LoadJob:
        """Makes the job for a file; called by dlt."""
        job = super().create_load_job(table, file_path, load_id, restore)
        if not isinstance(job, DuckDbCopyJob) or job.job_file_info().file_format != "jsonl":
            return job
        types = {name: self.type_mapper.to_destination_type(column, table) for name, column in table["columns"].items()}
        return TypedJsonJob(file_path, types)


class TypedDuckDb(duckdb):
    """dlt's destination `duckdb`, with types for JSON lines, which an interrupted load may have left in any case."""

    destination_type = "dlt.destinations.duckdb"

    @property
    def client_class(self) -> Any:
        """The client; called by dlt."""
        return TypedDuckDbClient
