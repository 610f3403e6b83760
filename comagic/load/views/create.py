"""Creates the views in a destination, and describes them there."""

from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dlt.common.destination.reference import DestinationReference
from dlt.destinations.exceptions import DatabaseException

from ...api.brands import site_of
from ...exceptions import ComagicError
from ...settings import Settings, configured_base_url
from ..descriptions import literal
from ..destinations import BIGQUERY, DUCKDB, POSTGRES, AnyDestination, is_missing_file, open_client
from .dbt import write_package
from .definitions import View, views
from .render import Dataset, known_columns, missing_tables, output_columns, render

CREATE = "CREATE OR REPLACE VIEW {view} AS\n{query}"
CREATE_DESCRIBED = "CREATE OR REPLACE VIEW {view} ({columns}) OPTIONS (description = {description}) AS\n{query}"
DROP = "DROP VIEW IF EXISTS {view}"
DESCRIBE = "COMMENT ON VIEW {view} IS {description}"
DESCRIBE_COLUMN = "COMMENT ON COLUMN {view}.{column} IS {description}"
FIRST_LOOK = "SELECT * FROM {view} LIMIT 0"
"""A view that the destination created but cannot plan is not created."""

DIALECTS = {BIGQUERY: "bigquery", DUCKDB: "duckdb", POSTGRES: "postgres"}
"""sqlglot's name of the SQL, by destination."""

NOT_LOADED = "Nothing has been loaded yet: load first."


@dataclass
class CreatedViews:
    """What became of the views.

    Attributes:
        created: full names of the views that were created, by name.
        left_out: why the others were not, by name: a table is not loaded.
        failed: errors of the destination, by name.
    """

    created: dict[str, str] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)


def create_views(destination: AnyDestination, dataset_name: str, settings: Settings) -> CreatedViews:
    """Creates the views whose tables are loaded, or creates them again with the columns that these have by now.

    Args:
        destination: the destination: BigQuery, DuckDB or PostgreSQL.
        dataset_name: the dataset.
        settings: thresholds of figures.

    Raises:
        ComagicError: nothing is loaded yet, or the destination's SQL is not known.
    """
    done = CreatedViews()
    dataset = open_views(destination, dataset_name, settings)
    with open_client(destination, dataset_name) as client:
        for name, view in views().items():
            if missing := missing_tables(view, dataset):
                done.left_out[name] = _reason(missing)
                continue
            try:
                _create(client.sql_client, view, dataset)
            except DatabaseException as error:
                done.failed[name] = str(error).strip().partition("\n")[0]
            else:
                done.created[name] = client.sql_client.make_qualified_table_name(name)
    return done


def refresh_views(destination: AnyDestination, dataset_name: str, settings: Settings) -> CreatedViews:
    """The same after a load: what was loaded stays loaded, so an error is reported and does not end the run."""
    try:
        return create_views(destination, dataset_name, settings)
    except (ComagicError, DatabaseException) as error:
        return CreatedViews(failed={"views": str(error)})


def write_dbt_package(destination: AnyDestination, dataset_name: str, settings: Settings, folder: Path) -> CreatedViews:
    """Writes the views whose tables are loaded as a dbt package; see `dbt.write_package`.

    Args:
        destination: the destination that has the tables.
        dataset_name: the dataset.
        settings: thresholds of figures.
        folder: where to write it.
    """
    dataset = open_views(destination, dataset_name, settings)
    models = write_package(folder, dataset, dataset_name, view_settings(settings))
    missing = {name: missing_tables(view, dataset) for name, view in views().items()}
    return CreatedViews(
        {name: str(folder / "models" / f"{name}.sql") for name in models},
        {name: _reason(tables) for name, tables in missing.items() if tables},
    )


def open_views(destination: AnyDestination, dataset_name: str, settings: Settings) -> Dataset:
    """Looks up which tables and columns a dataset has, for the views' queries.

    Raises:
        ComagicError: nothing is loaded yet, or the destination's SQL is not known.
    """
    kind = DestinationReference.normalize_type(destination.destination_type)
    if kind not in DIALECTS:
        raise ComagicError(f"The views are made for bigquery, duckdb and postgres, not for {kind.rpartition('.')[2]}.")
    if is_missing_file(destination, dataset_name):
        raise ComagicError(NOT_LOADED)
    with open_client(destination, dataset_name) as client:
        if not client.is_storage_initialized():
            raise ComagicError(NOT_LOADED)
        found = dict(client.get_storage_tables(list(known_columns())))
        names = {name: client.sql_client.make_qualified_table_name(name) for name in found}
    tables = {
        name: {column: str(hints.get("data_type")) for column, hints in columns.items()}
        for name, columns in found.items()
        if columns
    }
    if not tables:
        raise ComagicError(NOT_LOADED)
    return Dataset(DIALECTS[kind], tables, names.__getitem__, view_settings(settings))


def view_settings(settings: Settings) -> Mapping[str, Any]:
    """Values that the views' queries have."""
    return {
        "abandoned_after_seconds": settings.abandoned_after_seconds,
        "attribution_days": settings.attribution_days,
        "brand_host": site_of(configured_base_url()),
    }


def _reason(missing: list[str]) -> str:
    listed = ", ".join(missing)
    if missing == ["accounts"]:
        return "there is no table accounts yet: load once with this release"
    return f"not loaded: {listed}"


def _create(client: Any, view: View, dataset: Dataset) -> None:
    name = client.make_qualified_table_name(view.name)
    for statement in _statements(client, view, dataset, name):
        client.execute_sql(statement)
    client.execute_sql(FIRST_LOOK.format(view=name))


def _statements(client: Any, view: View, dataset: Dataset, name: str) -> Iterator[str]:
    """The statements that create and describe a view."""
    query, quoted = render(view, dataset), client.escape_column_name
    described = output_columns(view, dataset)
    if dataset.dialect == "bigquery":
        columns = (f"{quoted(column)} OPTIONS (description = {_text(text)})" for column, text in described.items())
        yield CREATE_DESCRIBED.format(
            view=name, columns=", ".join(columns), description=_text(view.description), query=query
        )
        return
    if dataset.dialect == "postgres" and not _replace(client, name, query):
        yield DROP.format(view=name)
    yield CREATE.format(view=name, query=query)
    yield DESCRIBE.format(view=name, description=literal(view.description))
    for column, text in described.items():
        yield DESCRIBE_COLUMN.format(view=name, column=quoted(column), description=literal(text))


def _replace(client: Any, name: str, query: str) -> bool:
    """Whether PostgreSQL replaces a view: it does unless columns were removed or moved.

    A view that is dropped first loses its grants.
    """
    with suppress(DatabaseException):
        client.execute_sql(CREATE.format(view=name, query=query))
        return True
    return False


def _text(text: str) -> str:
    """A text in BigQuery's SQL."""
    quoted = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{quoted}'"
