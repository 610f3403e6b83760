"""What PostgreSQL gets besides what dlt creates: indexes; and what is checked there before a load.

Facts: PostgreSQL 16's manual (CREATE INDEX, pg_indexes, functions on privileges); PgBouncer's feature map.
"""

from collections.abc import Iterator
from hashlib import sha256
from typing import Any
from uuid import uuid4

from ..catalog import PARTITION_DATE
from ..exceptions import ConfigurationError

MAX_NAME = 63
"""Bytes of a name in PostgreSQL; a longer one would be cut, and could then be another's."""
UNIQUE_VIOLATION = "23505"
"""SQLSTATE."""

INDEXES = "SELECT indexname FROM pg_indexes WHERE schemaname = %s"
CREATE_INDEX = "CREATE {kind} IF NOT EXISTS {name} ON {table} ({columns})"

SET_MARK = "SELECT set_config('comagic.session', %s, false)"
READ_MARK = "SELECT current_setting('comagic.session', true)"

PRIVILEGES = """
SELECT
    EXISTS (SELECT FROM pg_namespace WHERE nspname = %s),
    (
        SELECT has_schema_privilege(oid, 'USAGE') AND has_schema_privilege(oid, 'CREATE')
        FROM pg_namespace WHERE nspname = %s
    ),
    has_database_privilege(current_database(), 'CREATE')
"""


def check_session(own: Any, other: Any) -> None:
    """Checks that each of two connections keeps a session of its own.

    Behind a pooler in transaction mode, a statement can run in the session of another client: the lock would be lost
    with the transaction, and so would dlt's temporary tables. Both mark their session, in turn; the first has to find
    its own mark.

    Args:
        own: dlt's SQL client of the connection that holds the lock.
        other: that of another connection.

    Raises:
        ConfigurationError: they share a session.
    """
    mark = uuid4().hex
    own.execute_sql(SET_MARK, mark)
    other.execute_sql(SET_MARK, uuid4().hex)
    ((found,),) = own.execute_sql(READ_MARK)
    if found != mark:
        raise ConfigurationError(
            "destination.postgres.credentials: the server is behind a pooler in transaction mode, which gives each "
            "transaction another session; a load needs one session for its lock and its temporary tables. Connect to "
            "the server itself, or set the pooler's mode to session (in Yandex Managed PostgreSQL: SESSION)."
        )


def check_privileges(sql: Any) -> None:
    """Checks that the dataset and its staging dataset can be written, or created: else a load fails after its reading.

    Args:
        sql: dlt's SQL client of the dataset, connected.

    Raises:
        ConfigurationError: the role may not create tables in one of them, or may not create it.
    """
    for schema in (sql.dataset_name, sql.staging_dataset_name):
        ((exists, may_write, may_create),) = sql.execute_sql(PRIVILEGES, schema, schema)
        if exists and not may_write:
            raise ConfigurationError(
                f"destination.postgres.credentials: the role may not create tables in the schema {schema}. Make it the "
                "schema's owner; see docs/postgres.md."
            )
        if not exists and not may_create:
            raise ConfigurationError(
                f"destination.postgres.credentials: the role may not create the schema {schema}. Grant it CREATE on "
                "the database, or create the schema for it; see docs/postgres.md."
            )


def create_indexes(client: Any) -> None:
    """Creates the indexes that merges and queries need, on tables that have none yet.

    A report's or dictionary's key, unique; its local day; the root of child tables. A key that is there twice, since
    something else wrote into the table, gets an index that is not unique: `status` names the table.

    Args:
        client: dlt's job client, connected.
    """
    sql = client.sql_client
    wanted = dict(_wanted_indexes(client.schema))
    existing = {name for (name,) in sql.execute_sql(INDEXES, sql.dataset_name) or []}
    tables = set(client.schema.data_table_names(seen_data_only=True))
    for name, (table, columns, is_unique) in wanted.items():
        if name in existing or table not in tables:
            continue
        statement = CREATE_INDEX.format(
            kind="UNIQUE INDEX" if is_unique else "INDEX",
            name=sql.escape_column_name(name),
            table=sql.make_qualified_table_name(table),
            columns=", ".join(sql.escape_column_name(column) for column in columns),
        )
        try:
            sql.execute_sql(statement)
        except Exception as error:
            if getattr(error.__cause__ or error.args[0], "pgcode", None) != UNIQUE_VIOLATION:
                raise
            sql.execute_sql(statement.replace("UNIQUE INDEX", "INDEX"))


def _wanted_indexes(schema: Any) -> Iterator[tuple[str, tuple[str, list[str], bool]]]:
    """Names of indexes, with table, columns and whether they are unique."""
    for table in schema.data_tables(seen_data_only=True):
        name, columns = str(table["name"]), table["columns"]
        key = [column for column, hints in columns.items() if hints.get("primary_key")]
        if table.get("parent"):
            root = next((column for column, hints in columns.items() if hints.get("root_key")), "_dlt_parent_id")
            yield _index_name(name, "root"), (name, [root], False)
        elif key:
            yield _index_name(name, "key"), (name, key, True)
        if PARTITION_DATE in columns and not table.get("parent"):
            yield _index_name(name, "day"), (name, [PARTITION_DATE], False)


def _index_name(table: str, purpose: str) -> str:
    name = f"{table}__by_{purpose}"
    return name if len(name) <= MAX_NAME else f"{sha256(name.encode()).hexdigest()[:16]}__by_{purpose}"
