"""The SQL that merges a load package's staged rows into BigQuery: one script, a transaction a report or dictionary.

dlt's own statements read the whole of each table, whatever is loaded, commit one by one, and insert a staged row as
often as it was staged. These

- touch only the days that were staged, and one on either side: a row that has moved to the next day is found;
- take each key once, of this load package;
- write a row, and the rows of its lists, only if the row's hash has changed;
- commit a table and its child tables together, or not at all.

What BigQuery allows in a transaction: https://cloud.google.com/bigquery/docs/transactions. Tables with hints that are
not known here are merged by dlt's statements.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dlt.common import logger
from dlt.common.schema.utils import get_columns_names_with_prop
from dlt.destinations.impl.bigquery.bigquery import BigQueryMergeJob

from ..catalog import PARTITION_DATE, ROW_HASH
from ..extract.manifest import Manifest
from .bounds import DELETE, LISTS_OF, delete_with_lists, in_days_of, in_scopes, near_days

BEGIN, COMMIT = "BEGIN TRANSACTION", "COMMIT TRANSACTION"

UPSERT, DELETE_INSERT, REPLACE = "upsert", "delete-insert", "replace"

UNKNOWN_HINTS = ("x-merge-source-filter", "x-merge-destination-scope", "x-valid-to", "x-retire-absent-rows")
UNKNOWN_COLUMN_HINTS = ("hard_delete", "dedup_sort")
"""dlt's hints that change what its merge does; this project sets none of them."""

LOAD_ID, ROW_ID = "`_dlt_load_id`", "`_dlt_id`"

CHANGED = f" AND d.`{ROW_HASH}` IS DISTINCT FROM s.`{ROW_HASH}`"
MERGE = """
MERGE INTO {table} AS d USING ({staged}) AS s ON {same}
WHEN MATCHED{changed} THEN UPDATE SET {assignments}
WHEN NOT MATCHED THEN INSERT ({columns}) VALUES ({values})
"""
TRUNCATE = "TRUNCATE TABLE {table}"
INSERT = "INSERT INTO {table} ({columns}) {staged}"
STAGED = """
SELECT {columns} FROM {staged} WHERE {condition}
QUALIFY ROW_NUMBER() OVER (PARTITION BY {key} ORDER BY {order}) = 1
"""
"""The staged rows, each once, however often BigQuery was made to stage them."""
SAME_GROUP = "_dlt_id IN (SELECT d._dlt_id FROM {table} AS d JOIN {staged} AS s ON {same})"

Chain = Sequence[Mapping[str, Any]]
"""A table and its child tables, as dlt hands them to its merge."""


@dataclass(frozen=True)
class Names:
    """Qualified names of a table: where it is for good, and where its rows are staged."""

    table: str
    staged: str


def transaction(statements: Iterable[str]) -> str:
    """One transaction of some statements."""
    return ";\n".join([BEGIN, *(" ".join(statement.split()) for statement in statements), COMMIT])


def merge_script(chains: Iterable[Chain], manifests: Mapping[str, Manifest], sql: Any, load_id: str) -> list[str]:
    """Returns a transaction for each table that a load package has staged.

    Args:
        chains: each table with staged rows, and its child tables.
        manifests: the package's manifests by table.
        sql: dlt's SQL client.
        load_id: the load package.
    """
    script = []
    for chain in sorted(chains, key=lambda chain: str(chain[0]["name"])):
        name = chain[0]["name"]
        script.append(transaction(_Merge(chain, manifests.get(name, Manifest({})), sql, load_id).statements()))
    return script


def strategy_of(table: Mapping[str, Any]) -> str:
    """How a table is merged; empty if it has hints that are not known here."""
    columns = table["columns"].values()
    if any(table.get(hint) for hint in UNKNOWN_HINTS):
        return ""
    if any(column.get(hint) is not None for column in columns for hint in UNKNOWN_COLUMN_HINTS):
        return ""
    if table["write_disposition"] == "replace":
        return REPLACE
    strategy = str(table.get("x-merge-strategy", DELETE_INSERT))
    if strategy == UPSERT and any(column.get("primary_key") for column in columns):
        return UPSERT
    if strategy == DELETE_INSERT and any(column.get("merge_key") for column in columns):
        return DELETE_INSERT
    return ""


class _Merge:
    """The statements for one table and its child tables."""

    def __init__(self, chain: Chain, manifest: Manifest, sql: Any, load_id: str) -> None:
        self._chain = chain
        self._manifest = manifest
        self._sql = sql
        self._load_id = load_id
        self._root, *self._children = chain
        self._names = {table["name"]: Names(*sql.get_qualified_table_names(table["name"])) for table in chain}
        self._key = self._quoted(get_columns_names_with_prop(self._root, "primary_key"))  # type: ignore[arg-type]

    def statements(self) -> list[str]:
        strategy = strategy_of(self._root)
        if strategy == UPSERT:
            return self._upsert()
        if strategy == DELETE_INSERT:
            return self._replace_scopes()
        if strategy == REPLACE:
            return self._replace_all()
        logger.warning(f"{self._root['name']} has hints that are not known here: it is merged by dlt's own statements.")
        return [statement.rstrip("; \n") for statement in BigQueryMergeJob.generate_sql(self._chain, self._sql)]  # type: ignore[arg-type]

    def _upsert(self) -> list[str]:
        """One MERGE for the table; the lists of the rows that it wrote are replaced."""
        table, columns = self._names[self._root["name"]].table, self._columns(self._root)
        days = self._manifest.days if PARTITION_DATE in self._root["columns"] else ()
        skips = self._root.get("x-merge-skip-unchanged-rows") and not self._manifest.rewrites
        statements = [
            MERGE.format(
                table=table,
                staged=self._staged(self._root),
                same=_all(*(f"d.{name} = s.{name}" for name in self._key), near_days(days, "d.")),
                changed=CHANGED if skips and ROW_HASH in self._root["columns"] else "",
                assignments=", ".join(f"{name} = s.{name}" for name in columns),
                columns=", ".join(columns),
                values=", ".join(f"s.{name}" for name in columns),
            )
        ]
        written = LISTS_OF.format(table=table, condition=_all(near_days(days), f"{LOAD_ID} = '{self._load_id}'"))
        for child in self._children:
            bounds = near_days(days) if PARTITION_DATE in child["columns"] else ""
            statements.append(DELETE.format(table=self._names[child["name"]].table, condition=_all(bounds, written)))
            statements.append(self._insert(child, written))
        return statements

    def _replace_scopes(self) -> list[str]:
        """What was read whole is deleted with its lists, and inserted as it came."""
        table = self._names[self._root["name"]].table
        lists = [(self._names[child["name"]].table, PARTITION_DATE in child["columns"]) for child in self._children]
        deletes = delete_with_lists(table, lists, self._scope(), in_days_of(self._manifest.scopes))
        return deletes + [self._insert(one) for one in self._chain]

    def _replace_all(self) -> list[str]:
        truncates = [TRUNCATE.format(table=self._names[table["name"]].table) for table in self._chain]
        return truncates + [self._insert(table) for table in self._chain]

    def _scope(self) -> str:
        """A condition for all rows of what was read whole; of the staged rows' groups if nothing is noted."""
        if self._manifest.scopes:
            return in_scopes(self._manifest.scopes)
        keys = self._quoted(get_columns_names_with_prop(self._root, "merge_key"))  # type: ignore[arg-type]
        names = self._names[self._root["name"]]
        same = _all(*(f"s.{key} = d.{key}" for key in keys))
        return SAME_GROUP.format(table=names.table, staged=names.staged, same=same)

    def _insert(self, table: Mapping[str, Any], condition: str = "TRUE") -> str:
        return INSERT.format(
            table=self._names[table["name"]].table,
            columns=", ".join(self._columns(table)),
            staged=self._staged(table, condition),
        )

    def _staged(self, table: Mapping[str, Any], condition: str = "TRUE") -> str:
        is_root = table is self._root
        key = self._key if is_root and self._key else [ROW_ID]
        return STAGED.format(
            columns=", ".join(self._columns(table)),
            staged=self._names[table["name"]].staged,
            condition=condition,
            key=", ".join(key),
            order=f"{LOAD_ID} DESC" if is_root else key[0],
        )

    def _columns(self, table: Mapping[str, Any]) -> list[str]:
        return self._quoted(table["columns"])

    def _quoted(self, names: Iterable[str]) -> list[str]:
        return [self._sql.escape_column_name(name) for name in names]


def _all(*conditions: str) -> str:
    return " AND ".join(filter(None, conditions))
