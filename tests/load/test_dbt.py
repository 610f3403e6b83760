"""The dbt package of the views builds in DuckDB and PostgreSQL, with all its tests.

dbt is not among the tests' packages; the variable DBT has the path of its program: see tests/dbt-requirements.txt.
"""

import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import yaml

from comagic.load.views.dbt import KEYS
from comagic.load.views.definitions import views
from tests.support.accounts import access_to, resource_options
from tests.support.eventful import PERIOD, RESOURCES, eventful_account
from tests.support.processes import Command, Serve
from tests.support.warehouses import PostgreSQL, Warehouse

DBT = os.environ.get("DBT") or shutil.which("dbt")
needs_dbt = pytest.mark.skipif(DBT is None, reason="dbt is not installed: DBT is not set, and there is none in PATH")


def write(serve: Serve, command: Command, folder: Path, **environment: str) -> None:
    result = command(
        "load", *PERIOD, *resource_options(*RESOURCES), **access_to(serve(eventful_account())), **environment
    )
    assert result.code == 0, result.err
    for _ in range(2):
        result = command("views", "--dbt", str(folder), **environment)
        assert (result.code, result.out.count("Created")) == (0, len(views())), result.err


def build(folder: Path, profile: Mapping[str, Any]) -> None:
    """Runs `dbt build`, which ends with an error if a model or a test fails, and `dbt source freshness`."""
    profiles = {"comagic": {"target": "test", "outputs": {"test": {"schema": "models", "threads": 1, **profile}}}}
    (folder / "profiles.yml").write_text(yaml.safe_dump(profiles), "utf-8")
    assert DBT
    environment = {**os.environ, "DBT_SEND_ANONYMOUS_USAGE_STATS": "false", "DO_NOT_TRACK": "1"}
    for words in (["build"], ["source", "freshness"]):
        done = subprocess.run(
            [DBT, "--no-use-colors", *words, "--project-dir", str(folder), "--profiles-dir", str(folder)],
            env=environment,
            capture_output=True,
            text=True,
            timeout=280,
            check=False,
        )
        assert done.returncode == 0, done.stdout
        assert "ERROR=0" in done.stdout or words != ["build"]


@needs_dbt
@pytest.mark.expensive(25)
def test_package_builds_in_duckdb(serve: Serve, command: Command, place: Path) -> None:
    write(serve, command, place / "dbt")
    warehouse = Warehouse(place)
    build(place / "dbt", {"type": "duckdb", "path": str(warehouse.file)})
    assert command("views").code == 0
    for name in views():
        rows = f"SELECT count(*) FROM models.{name}"
        assert warehouse.query(rows) == warehouse.query(rows.replace("models", "comagic")) != [(0,)]


@needs_dbt
@pytest.mark.expensive(20)
def test_package_builds_in_postgres(
    serve: Serve, command: Command, place: Path, warehouse_in_postgres: PostgreSQL
) -> None:
    write(serve, command, place / "dbt", **warehouse_in_postgres.environment)
    address = urlsplit(warehouse_in_postgres.address)
    build(
        place / "dbt",
        {
            "type": "postgres",
            "host": parse_qs(address.query)["host"][0],
            "port": 5432,
            "user": address.username,
            "password": "none",
            "dbname": address.path.strip("/"),
        },
    )
    assert warehouse_in_postgres.query("SELECT count(*) FROM models.calls_flat") != [(0,)]


def test_every_view_has_a_key_in_the_package() -> None:
    assert KEYS.keys() == views().keys()


def test_package_is_not_written_over_another_project(serve: Serve, command: Command, place: Path) -> None:
    assert command(*PERIOD, **access_to(serve(eventful_account()))).code == 0
    (place / "own").mkdir()
    (place / "own" / "dbt_project.yml").write_text("name: own\n")
    result = command("views", "--dbt", "own")
    assert (result.code, "another dbt project" in result.err) == (2, True), result.err
    assert [file.name for file in (place / "own").iterdir()] == ["dbt_project.yml"]
