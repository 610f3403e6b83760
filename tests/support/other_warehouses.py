"""Destinations of dlt that need no server of their own: SQLite, and DuckLake with a catalog in DuckDB."""

import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import duckdb

from comagic.catalog import LIST, reports
from comagic.extract.schema import flatten
from tests.support.warehouses import Warehouse

READERS: dict[str, Callable[[Any], Any]] = {
    "timestamp": lambda text: datetime.fromisoformat(text).replace(tzinfo=UTC),
    "date": date.fromisoformat,
    "bool": bool,
    "json": json.loads,
}


class SQLite(Warehouse):
    """A SQLite file of dlt's destination `sqlalchemy`, and queries of its tables; values have the catalog's types."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "calls__comagic.db"
        self.environment = {
            "DESTINATION_TYPE": "sqlalchemy",
            "DESTINATION__SQLALCHEMY__CREDENTIALS": f"sqlite:///{folder / 'calls.db'}",
        }
        calls = reports()["calls"]
        fields = [*calls.fields.values(), *calls.computed.values()]
        self._types = {field.name: field.type for field in flatten(fields)}
        for parent in fields:
            if parent.type == LIST:
                self._types |= {field.name: field.type for field in flatten(parent.children.values())}

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        """Returns the rows of a query, as SQLite stores them."""
        with closing(sqlite3.connect(self.file)) as connection:
            return connection.execute(sql).fetchall()

    def _lists(self) -> list[str]:
        tables = self.query("SELECT name FROM sqlite_master WHERE type = 'table'")
        return [name.removeprefix("calls__") for (name,) in tables if name.startswith("calls__")]

    def _rows(self, table: str, order: str = "id") -> list[dict[str, Any]]:
        with closing(sqlite3.connect(self.file)) as connection:
            connection.row_factory = sqlite3.Row
            found = [dict(row) for row in connection.execute(f"SELECT * FROM {table} ORDER BY {order}")]
        for row in found:
            for name, value in row.items():
                if value is not None and (reader := READERS.get(self._types.get(name, ""))):
                    row[name] = reader(value)
        return found


class DuckLake(Warehouse):
    """A DuckLake whose catalog is a DuckDB file, and queries of its tables."""

    def __init__(self, folder: Path) -> None:
        self.catalog = folder / "catalog.duckdb"
        self.environment = {
            "DESTINATION_TYPE": "ducklake",
            "DESTINATION__DUCKLAKE__CREDENTIALS__CATALOG": f"duckdb:///{self.catalog}",
            "DESTINATION__DUCKLAKE__CREDENTIALS__STORAGE__BUCKET_URL": str(folder / "lake"),
        }

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        """Returns the rows of a query, times in UTC."""
        with duckdb.connect() as connection:
            connection.execute("LOAD ducklake")
            connection.execute(f"ATTACH 'ducklake:{self.catalog}' AS lake")
            connection.execute("SET TimeZone = 'UTC'; USE lake.comagic")
            return connection.execute(sql).fetchall()
