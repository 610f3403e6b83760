"""PostgreSQL is proven as DuckDB is: the same tables, indexes, sessions that are sessions, roles, kills."""

import json
import random
import re
import shutil
import subprocess
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg2
import pytest

from comagic.exceptions import ConfigurationError
from comagic.load.postgres import check_session
from tests.support.accounts import LONG_AGO, access_to, differences, expected_calls, recent_account
from tests.support.pages import block_after, read_page
from tests.support.processes import SMALL_PACKAGES, Command, Serve, Start
from tests.support.sampling import sample
from tests.support.warehouses import PostgreSQL, Warehouse

POSTGRES_PAGE = read_page("docs/postgres.md")
EVERYTHING = {"SOURCES__COMAGIC__RESOURCES": '["all"]', "SOURCES__COMAGIC__FIELDS": "all"}
OWN_COLUMNS = ("_dlt_load_id", "_dlt_id", "_dlt_parent_id", "_dlt_root_id")
INDEXES = "SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = 'comagic' AND indexname LIKE '%by\\_%'"


def tables(warehouse: Warehouse) -> dict[str, list[str]]:
    """All loaded rows by table, each as sorted JSON, without dlt's columns and what differs by run."""
    names = warehouse.query("SELECT table_name FROM information_schema.tables WHERE table_schema = 'comagic'")
    found = {}
    for (name,) in names:
        if name.startswith("_dlt") or name == "load_windows":
            continue
        described = warehouse.query(
            "SELECT column_name FROM information_schema.columns "
            f"WHERE table_schema = 'comagic' AND table_name = '{name}'"
        )
        columns = sorted(column for (column,) in described if column not in OWN_COLUMNS)
        listed = ", ".join(f'"{column}"' for column in columns)
        rows = warehouse.query(f"SELECT {listed} FROM {name}")
        found[name] = sorted(str([as_text(value) for value in row]) for row in rows)
    return found


def as_text(value: Any) -> str:
    """A value as both clients would write it: DuckDB's returns JSON as text."""
    if isinstance(value, str) and value[:1] in ("{", "["):
        value = json.loads(value)
    if isinstance(value, (dict, list)):
        return json.dumps(value, sort_keys=True)
    return str(float(value)) if isinstance(value, (int, float)) and not isinstance(value, bool) else str(value)


@pytest.mark.expensive(30)
def test_tables_of_all_resources_equal_those_of_duckdb_row_by_row(
    serve: Serve, command: Command, place: Path, warehouse_in_postgres: PostgreSQL
) -> None:
    sandbox = serve(recent_account(2))
    for environment in ({}, warehouse_in_postgres.environment):
        environment = {**access_to(sandbox), **EVERYTHING, **environment}
        for _ in range(2):
            result = command(**environment)
            assert result.code == 0, result.err
    in_duckdb, in_postgres = tables(Warehouse(place)), tables(warehouse_in_postgres)
    assert len(in_duckdb) > 60
    assert {name: rows for name, rows in in_postgres.items() if rows != in_duckdb.get(name)} == {}
    assert set(in_postgres) == set(in_duckdb)


def test_keys_days_and_roots_have_indexes(serve: Serve, command: Command, warehouse_in_postgres: PostgreSQL) -> None:
    environment = {**access_to(serve(recent_account(3))), **warehouse_in_postgres.environment}
    assert command(**environment).code == 0
    found = dict(warehouse_in_postgres.query(INDEXES))
    assert "UNIQUE INDEX calls__by_key ON comagic.calls USING btree (id)" in found["calls__by_key"]
    assert "(partition_date)" in found["calls__by_day"]
    assert "(_dlt_root_id)" in found["calls__tags__by_root"]

    change(
        warehouse_in_postgres,
        "DROP INDEX comagic.calls__by_key",
        "ALTER TABLE comagic.calls DROP CONSTRAINT calls__dlt_id_key",
        "INSERT INTO comagic.calls SELECT * FROM comagic.calls WHERE id = (SELECT MIN(id) FROM comagic.calls)",
    )
    assert command(**environment).code == 0, "a key that something else has doubled is not a reason to fail"
    assert "CREATE INDEX calls__by_key" in dict(warehouse_in_postgres.query(INDEXES))["calls__by_key"]


def change(warehouse: PostgreSQL, *statements: str) -> None:
    with closing(psycopg2.connect(warehouse.address)) as connection:
        connection.autocommit = True
        for statement in statements:
            connection.cursor().execute(statement)


def address_of(warehouse: PostgreSQL, role: str) -> dict[str, str]:
    """The settings that connect as another role."""
    address = warehouse.address.replace("postgres:none@", f"{role}:none@")
    return {**warehouse.environment, "DESTINATION__POSTGRES__CREDENTIALS": address}


@pytest.mark.parametrize(
    ("grants", "message"),
    [
        ((), "the role may not create the schema comagic. Grant it CREATE on the database"),
        (("CREATE SCHEMA comagic",), "the role may not create tables in the schema comagic."),
        (("CREATE SCHEMA comagic AUTHORIZATION {role}",), "the role may not create the schema comagic_staging."),
    ],
)
def test_role_without_privileges_is_refused_before_a_request(
    serve: Serve, command: Command, warehouse_in_postgres: PostgreSQL, grants: tuple[str, ...], message: str
) -> None:
    role = f"role_{uuid4().hex[:8]}"
    change(warehouse_in_postgres, f"CREATE ROLE {role} LOGIN", *(grant.format(role=role) for grant in grants))
    sandbox = serve(recent_account(1))
    result = command(**access_to(sandbox), **address_of(warehouse_in_postgres, role))
    assert (result.code, sandbox.requests) == (2, 0), result.err
    assert message in result.err


def test_role_that_owns_its_schemas_loads_and_a_reader_reads(
    serve: Serve, command: Command, warehouse_in_postgres: PostgreSQL
) -> None:
    role, reader = f"role_{uuid4().hex[:8]}", f"reader_{uuid4().hex[:8]}"
    statements = re.findall(r"^\w.*?;$", block_after(POSTGRES_PAGE, "## Roles", "sql"), re.M | re.S)
    assert len(statements) > 5
    database = warehouse_in_postgres.query("SELECT current_database()")[0][0]
    names = {"comagic_loader": role, "comagic_reader": reader, "analytics": database}
    for statement in statements:
        for name, own in names.items():
            statement = re.sub(rf"\b{name}\b", own, statement)
        if not statement.startswith("CREATE DATABASE"):
            change(warehouse_in_postgres, statement)
    for _ in range(2):
        result = command(**access_to(serve(recent_account(2))), **address_of(warehouse_in_postgres, role))
        assert result.code == 0, result.err
    as_reader = address_of(warehouse_in_postgres, reader)
    assert command("status", "--max-age-hours", "1", **as_reader).code == 0
    with closing(psycopg2.connect(as_reader["DESTINATION__POSTGRES__CREDENTIALS"])) as connection:
        cursor = connection.cursor()
        cursor.execute("SELECT COUNT(*) FROM comagic.calls")
        assert cursor.fetchall()[0][0] > 0


def test_connections_that_share_a_session_are_refused(warehouse_in_postgres: PostgreSQL) -> None:
    """What a pooler in transaction mode does; tried with PgBouncer 1.18, too."""
    sessions = [Session(warehouse_in_postgres.address) for _ in range(2)]
    check_session(*sessions)
    with pytest.raises(ConfigurationError, match="behind a pooler in transaction mode"):
        check_session(sessions[0], sessions[0])
    for session in sessions:
        session.connection.close()


class Session:
    """A connection with the one method of dlt's SQL client that the check needs."""

    def __init__(self, address: str) -> None:
        self.connection = psycopg2.connect(address)

    def execute_sql(self, sql: str, *parameters: str) -> list[tuple[Any, ...]]:
        cursor = self.connection.cursor()
        cursor.execute(sql, parameters)
        return cursor.fetchall()


@pytest.mark.expensive(12)
def test_kills_at_random_moments_leave_right_tables(
    serve: Serve, start: Start, command: Command, place: Path, warehouse_in_postgres: PostgreSQL
) -> None:
    account = recent_account(40)
    environment = {**access_to(serve(account), **SMALL_PACKAGES), **warehouse_in_postgres.environment}
    moments = random.Random(21)
    kills = 0
    for _ in sample(range(20), 2):
        process = start(**environment)
        try:
            process.communicate(timeout=moments.uniform(0.8, 4.5))
        except subprocess.TimeoutExpired:
            kills += 1
            process.kill()
            process.communicate()
        if moments.random() < 0.5:
            shutil.rmtree(place / "dlt", ignore_errors=True)
    assert kills, "nothing was killed"
    result = command(**environment)
    assert result.code == 0, result.err
    assert differences(warehouse_in_postgres.calls(), expected_calls(account, LONG_AGO)) == []


@pytest.mark.parametrize(
    ("change_address", "message"),
    [
        (lambda address: address.replace("/test_", "/no_"), "does not exist. Create it, or set another one"),
        (lambda address: address.replace("?host=", "?host=/nowhere"), "cannot be reached from this machine"),
        (lambda address: f"{address}&sslmode=require&host=127.0.0.1&port=1", "cannot be reached from this machine"),
    ],
)
def test_server_that_cannot_be_used_is_named_without_a_traceback(
    serve: Serve,
    command: Command,
    warehouse_in_postgres: PostgreSQL,
    change_address: Callable[[str], str],
    message: str,
) -> None:
    sandbox = serve(recent_account(1))
    address = change_address(warehouse_in_postgres.address)
    environment = {**warehouse_in_postgres.environment, "DESTINATION__POSTGRES__CREDENTIALS": address}
    result = command(**access_to(sandbox), **environment)
    assert (result.code, sandbox.requests) == (1, 0)
    assert message in result.err
    assert "Traceback" not in result.err
