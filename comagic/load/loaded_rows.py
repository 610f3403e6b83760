"""Reads what the destination has of one report: which periods were loaded, how many rows a day has, the rows."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta, tzinfo
from typing import Any

from dlt import Schema

from ..catalog import PARTITION_DATE, Report
from ..extract.load_windows import TABLE as LOAD_WINDOWS
from ..extract.schema import USER_ID
from ..extract.windows import SECOND, Window, to_local, to_utc
from .bounds import DAY, delete_with_lists
from .destinations import BIGQUERY, AnyDestination, open_client

PERIODS = """
SELECT MIN(window_start), MAX(window_end) FROM (
    SELECT window_start, window_end, SUM(begins) OVER (ORDER BY window_start, window_end, nth) AS period FROM (
        SELECT window_start, window_end, nth, CASE WHEN window_start <= MAX(window_end) OVER (
            ORDER BY window_start, window_end, nth ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
        ) THEN 0 ELSE 1 END AS begins
        FROM (
            SELECT window_start, window_end, ROW_NUMBER() OVER (ORDER BY window_start, window_end) AS nth
            FROM {load_windows} AS w
            JOIN {loads} AS l ON l.load_id = w._dlt_load_id AND l.status = 0
            WHERE w.resource = '{resource}' AND w.window_start IS NOT NULL{client}
        ) AS numbered
    ) AS marked
) AS grouped
GROUP BY period
ORDER BY 1
"""
"""The periods that load packages which ended have loaded; windows that touch are one period."""

COUNTS = """
SELECT
    {day},
    COUNT(*) AS row_count,
    SUM(CASE WHEN {second} < 2 THEN 1 ELSE 0 END) AS first_rows,
    SUM(CASE WHEN {second} >= 86399 THEN 1 ELSE 0 END) AS last_rows
FROM {table}
WHERE {condition}
GROUP BY {day}
"""
"""Rows by local day; and those that the request for the day before, or after, counts as well."""

SECOND_OF_DAY = """
EXTRACT(HOUR FROM {cursor} AT TIME ZONE '{zone}') * 3600 + EXTRACT(MINUTE FROM {cursor} AT TIME ZONE '{zone}') * 60
    + EXTRACT(SECOND FROM {cursor} AT TIME ZONE '{zone}')
"""

ROWS = "SELECT {columns} FROM {table} WHERE {condition}"
LISTS = """
SELECT _dlt_root_id, _dlt_list_idx{columns} FROM {table}
WHERE {days}_dlt_root_id IN (SELECT _dlt_id FROM {root} WHERE {condition})
ORDER BY _dlt_root_id, _dlt_list_idx
"""

ROWS_AT_ONCE = 2_000
"""Rows that are taken from a query at once."""
IDS_AT_ONCE = 500
"""Rows that one statement deletes."""


@dataclass(frozen=True)
class DayCount:
    """Rows of a local day.

    Attributes:
        rows: all.
        first: those of its first two seconds.
        last: those of its last second.
    """

    rows: int = 0
    first: int = 0
    last: int = 0


NO_ROWS = DayCount()


@dataclass(frozen=True)
class LoadedRow:
    """A row of the destination.

    Attributes:
        key: its key.
        day: its local day.
        row_id: its `_dlt_id`.
        values: the columns that were asked for.
        lists: by child table, its rows in their order.
    """

    key: Any
    day: date
    row_id: str
    values: Mapping[str, Any]
    lists: Mapping[str, Sequence[Mapping[str, Any]]]


@dataclass(frozen=True)
class LoadedRows:
    """The rows of a report in the destination, or those of one client of an agency.

    Each call connects and disconnects: an open DuckDB file would keep a load in another process out.

    Attributes:
        destination: the destination.
        dataset_name: the dataset.
        schema: dlt's schema as the last load stored it there.
        report: the report.
        zone: the account's time zone.
        user_id: the client, where several are loaded.
        existing: columns of the report's table and of its child tables, as they are in the destination.
    """

    destination: AnyDestination
    dataset_name: str
    schema: Schema
    report: Report
    zone: tzinfo
    user_id: int | None = None
    existing: Mapping[str, Sequence[str]] = field(default_factory=dict)

    @property
    def lists(self) -> list[str]:
        """Child tables that exist."""
        return [name for name in self.existing if name != self.report.name]

    def periods(self) -> list[Window]:
        """The periods that were loaded, in local time and in their order; those that touch are one."""
        client = "" if self.user_id is None else f" AND w.user_id = {int(self.user_id)}"
        with self._connect() as sql:
            query = PERIODS.format(
                load_windows=sql.make_qualified_table_name(LOAD_WINDOWS),
                loads=sql.make_qualified_table_name(self.schema.loads_table_name),
                resource=self.report.name,
                client=client,
            )
            found = sql.execute_sql(query) or []
        return [Window(to_local(start, self.zone), to_local(end, self.zone)) for start, end in found]

    def count(self, period: Window) -> dict[date, DayCount]:
        """How many rows each local day has; with a second more on either side of the period, as requests have."""
        if self.report.name not in self.existing:
            return {}
        with self._connect() as sql:
            cursor = sql.escape_column_name(self.report.cursor)
            query = COUNTS.format(
                day=PARTITION_DATE,
                second=SECOND_OF_DAY.format(cursor=cursor, zone=self.zone).strip(),
                table=sql.make_qualified_table_name(self.report.name),
                condition=self._condition(sql, Window(period.start - SECOND, period.end + 2 * SECOND)),
            )
            found = sql.execute_sql(query) or []
        return {day: DayCount(*(int(number) for number in numbers)) for day, *numbers in found}

    def read(
        self, window: Window, columns: Sequence[str] = (), lists: Mapping[str, Sequence[str]] | None = None
    ) -> Iterator[LoadedRow]:
        """Reads the rows of a window.

        Args:
            window: the window.
            columns: the columns to read beside the key.
            lists: the child tables to read, with their columns.
        """
        if self.report.name not in self.existing:
            return
        with self._connect() as sql:
            condition = self._condition(sql, window)
            root = sql.make_qualified_table_name(self.report.name)
            items = {name: self._items(sql, name, own, root, window) for name, own in (lists or {}).items()}
            selected = [self.report.primary_key, PARTITION_DATE, "_dlt_id", *columns]
            listed = ", ".join(map(sql.escape_column_name, selected))
            for key, day, row_id, *values in _rows(sql, ROWS.format(columns=listed, table=root, condition=condition)):
                own_items = {name: found.get(row_id, []) for name, found in items.items()}
                yield LoadedRow(key, day, row_id, dict(zip(columns, values, strict=True)), own_items)

    def delete(self, day: date, row_ids: Sequence[str]) -> None:
        """Deletes rows of a day, with the rows of their lists.

        Args:
            day: their local day.
            row_ids: their `_dlt_id`.
        """
        with self._connect() as sql:
            table = sql.make_qualified_table_name(self.report.name)
            days = f"{PARTITION_DATE} = DATE '{day}'"
            lists = [
                (sql.make_qualified_table_name(name), PARTITION_DATE in self.existing[name]) for name in self.lists
            ]
            for start in range(0, len(row_ids), IDS_AT_ONCE):
                listed = ", ".join(f"'{_checked(row_id)}'" for row_id in row_ids[start : start + IDS_AT_ONCE])
                client = "" if self.user_id is None else f" AND {USER_ID.name} = {int(self.user_id)}"
                statements = delete_with_lists(table, lists, f"{days} AND _dlt_id IN ({listed}){client}", days)
                if self.destination.destination_type == BIGQUERY:
                    from .bigquery_merge import transaction  # Google's client takes its time to import

                    sql.execute_many([transaction(statements)])
                else:
                    with sql.begin_transaction():
                        sql.execute_many(statements)

    def _items(
        self, sql: Any, table: str, columns: Sequence[str], root: str, window: Window
    ) -> dict[str, list[dict[str, Any]]]:
        """The rows of a child table by their parent row."""
        query = LISTS.format(
            columns="".join(f", {sql.escape_column_name(name)}" for name in columns),
            table=sql.make_qualified_table_name(table),
            days=f"{_days(window)} AND " if PARTITION_DATE in self.existing[table] else "",
            root=root,
            condition=self._condition(sql, window),
        )
        found: dict[str, list[dict[str, Any]]] = {}
        for root_id, _, *values in _rows(sql, query):
            found.setdefault(root_id, []).append(dict(zip(columns, values, strict=True)))
        return found

    def _condition(self, sql: Any, window: Window) -> str:
        cursor = sql.escape_column_name(self.report.cursor)
        start, end = (self._literal(to_utc(moment, self.zone)) for moment in (window.start, window.end))
        client = "" if self.user_id is None else f" AND {USER_ID.name} = {int(self.user_id)}"
        return f"{_days(window)} AND {cursor} >= {start} AND {cursor} < {end}{client}"

    def _literal(self, instant: datetime) -> str:
        text = f"'{instant:%Y-%m-%d %H:%M:%S}+00:00'"
        if self.destination.destination_type == BIGQUERY:
            return f"TIMESTAMP {text}"
        return f"CAST({text} AS TIMESTAMP WITH TIME ZONE)"

    @contextmanager
    def _connect(self) -> Iterator[Any]:
        with open_client(self.destination, self.dataset_name, self.schema) as client:
            yield client.sql_client


def existing_columns(
    destination: AnyDestination, dataset_name: str, schema: Schema, report: Report
) -> dict[str, list[str]]:
    """Columns of a report's table and of its child tables, as they are in the destination, without missing tables.

    Args:
        destination: the destination.
        dataset_name: the dataset.
        schema: dlt's schema as the last load stored it there.
        report: the report.
    """
    known = schema.data_table_names(seen_data_only=True)
    names = [name for name in known if name == report.name or schema.tables[name].get("parent") == report.name]
    if not names:
        return {}
    with open_client(destination, dataset_name, schema) as client:
        return {name: list(columns) for name, columns in client.get_storage_tables(names) if columns}


def _rows(sql: Any, query: str) -> Iterator[Sequence[Any]]:
    with sql.execute_query(query) as cursor:
        while rows := cursor.fetchmany(ROWS_AT_ONCE):
            yield from rows


def _days(window: Window) -> str:
    """A condition for a window's days and one on either side: BigQuery reads no other partition."""
    first, last = window.start.date() - DAY, (window.end - timedelta(seconds=1)).date() + DAY
    return f"{PARTITION_DATE} BETWEEN DATE '{first}' AND DATE '{last}'"


def _checked(row_id: str) -> str:
    """A `_dlt_id` as it may be in a statement.

    Raises:
        ValueError: it has characters that no id of dlt has.
    """
    if not all(character.isalnum() or character in "+/=_-" for character in row_id):
        raise ValueError(f"{row_id!r} is not an id of dlt")
    return row_id
