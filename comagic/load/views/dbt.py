"""Writes the views as a dbt package: sources, models in the SQL of each destination, tests, descriptions."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml
from sqlglot import exp

from ...catalog import LIST, Field, resources
from ...exceptions import ConfigurationError
from ...extract import accounts, load_windows
from ...extract.schema import flatten
from .definitions import View, views
from .dialects import BIGQUERY, DUCKDB, POSTGRES
from .render import Dataset, missing_tables, output_columns, render

NAME = "comagic"
PROJECT_FILE = "dbt_project.yml"
TOKEN = re.compile(r'["`]?dbt_(source|var)_(\w+?)_dbt["`]?')
VARIABLES = ("abandoned_after_seconds", "attribution_days")

WARN_HOURS, ERROR_HOURS = 26, 50
"""Hours after which `dbt source freshness` warns and fails: one and two missed nights."""
ENDED = "_dlt_load_id in (select load_id from {{ var('comagic_schema') }}._dlt_loads where status = 0)"
"""Only load packages that ended count: load_windows is committed before the merge."""

MODEL = """
{{% if target.type == 'bigquery' %}}
{bigquery}
{{% elif target.type == 'postgres' %}}
{postgres}
{{% else %}}
{duckdb}
{{% endif %}}
"""
UNIQUE_ROWS = """
{# Fails for rows that have the same values in all of some columns; nulls are equal. #}
{% test unique_rows(model, columns) %}
select {{ columns | join(', ') }}, count(*) as copies
from {{ model }}
group by {{ columns | join(', ') }}
having count(*) > 1
{% endtest %}
"""
README = """# Calls of CoMagic, UIS, CallGear or Novofon: a dbt package

Written by `comagic_pipeline.py views --dbt`, for the tables and columns that the dataset had then; write it again after
columns were added. It works in DuckDB, BigQuery and PostgreSQL.

1. Give dbt a profile named `comagic` that can read the dataset, or add the folder to the `packages.yml` of your own
   project: `- local: path/to/this/folder`.
2. Set the variable `comagic_schema` if the tables are not in `{schema}`, and `comagic_database` if they are not in the
   profile's database.
3. `dbt build`, and `dbt source freshness` after each load.
"""

KEYS: Mapping[str, Sequence[str]] = {
    "attribution": ("user_id", "partition_date", "model", "source", "medium", "campaign_id"),
    "calls_daily": ("user_id", "partition_date"),
    "calls_flat": ("user_id", "id"),
    "calls_hourly": ("user_id", "partition_date", "hour"),
    "employees_daily": ("user_id", "partition_date", "employee_id"),
    "funnel": ("user_id", "week", "campaign_id"),
    "missed_calls": ("user_id", "id"),
    "sources_daily": ("user_id", "partition_date", "source", "medium", "campaign_id"),
    "sync_runs": ("user_id", "started_at"),
    "tags_daily": ("user_id", "partition_date", "tag_id"),
    "tracking_quality": ("user_id", "partition_date", "virtual_phone_number"),
}
"""Columns that are unique in each view."""
NOT_NULL = ("partition_date", "week", "calls", "id", "start_time")
VALUES: Mapping[tuple[str, str], Sequence[str]] = {
    ("attribution", "model"): ("first", "last_non_direct"),
    ("missed_calls", "recovered_by"): ("callback", "caller"),
    ("sync_runs", "outcome"): ("complete", "incomplete", "rows_missing", "rows_rejected", "not_loaded"),
}


def write_package(folder: Path, dataset: Dataset, schema: str, settings: Mapping[str, Any]) -> list[str]:
    """Writes the package into a folder; files of an earlier one are replaced.

    Args:
        folder: the folder; created if it does not exist.
        dataset: tables and columns that the models may use.
        schema: name of the dataset.
        settings: thresholds, as defaults of the package's variables.

    Returns:
        Names of the models.

    Raises:
        ConfigurationError: the folder has another dbt project.
    """
    project = folder / PROJECT_FILE
    if project.exists() and yaml.safe_load(project.read_text("utf-8")).get("name") != NAME:
        raise ConfigurationError(f"--dbt {folder}: it has another dbt project. Name a folder of its own.")
    models = {name: view for name, view in views().items() if not missing_tables(view, dataset)}
    for model in (folder / "models").glob("*.sql"):
        model.unlink()
    files = {
        PROJECT_FILE: _yaml(_project(schema, settings)),
        "README.md": README.format(schema=schema),
        "macros/unique_rows.sql": UNIQUE_ROWS.lstrip(),
        "models/sources.yml": _yaml(_sources(dataset)),
        "models/models.yml": _yaml({"version": 2, "models": [_model(view, dataset) for view in models.values()]}),
        **{f"models/{name}.sql": _query(view, dataset) for name, view in models.items()},
    }
    for name, text in files.items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, "utf-8")
    return list(models)


def _project(schema: str, settings: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "name": NAME,
        "version": "1.0.0",
        "config-version": 2,
        "profile": NAME,
        "model-paths": ["models"],
        "macro-paths": ["macros"],
        "models": {NAME: {"+materialized": "view"}},
        "vars": {"comagic_schema": schema, **{name: settings[name] for name in VARIABLES}},
    }


def _query(view: View, dataset: Dataset) -> str:
    """A model: its query in the SQL of each destination."""
    tokens = {name: exp.var(f"dbt_var_{name}_dbt") for name in VARIABLES}
    own = replace(dataset, qualified="dbt_source_{}_dbt".format, settings={**dataset.settings, **tokens})
    queries = {dialect: render(view, replace(own, dialect=dialect)) for dialect in (BIGQUERY, DUCKDB, POSTGRES)}
    return TOKEN.sub(_call, MODEL.format(**queries)).lstrip()


def _call(found: "re.Match[str]") -> str:
    return f"{{{{ source('{NAME}', '{found[2]}') }}}}" if found[1] == "source" else f"{{{{ var('{found[2]}') }}}}"


def _sources(dataset: Dataset) -> dict[str, Any]:
    described = dict(_described_tables())
    tables = [
        {
            "name": name,
            "description": described.get(name, ("", {}))[0],
            "columns": [
                {"name": column, "description": text}
                for column, text in described.get(name, ("", {}))[1].items()
                if column in columns
            ],
            **(_freshness() if name == load_windows.TABLE else {}),
        }
        for name, columns in dataset.tables.items()
    ]
    source = {
        "name": NAME,
        "description": "Tables that comagic_pipeline.py loads.",
        "database": "{{ var('comagic_database', target.database) }}",
        "schema": "{{ var('comagic_schema') }}",
        "tables": tables,
    }
    return {"version": 2, "sources": [source]}


def _freshness() -> dict[str, Any]:
    return {
        "config": {
            "loaded_at_field": "read_at",
            "freshness": {
                "warn_after": {"count": WARN_HOURS, "period": "hour"},
                "error_after": {"count": ERROR_HOURS, "period": "hour"},
                "filter": ENDED,
            },
        }
    }


def _model(view: View, dataset: Dataset) -> dict[str, Any]:
    columns = output_columns(view, dataset)
    return {
        "name": view.name,
        "description": view.description,
        "data_tests": [{"unique_rows": {"arguments": {"columns": list(KEYS[view.name])}}}],
        "columns": [
            {"name": name, "description": text, **_tests(view.name, name, dataset)} for name, text in columns.items()
        ],
    }


def _tests(view: str, column: str, dataset: Dataset) -> dict[str, Any]:
    tests: list[Any] = ["not_null"] if column in NOT_NULL else []
    if (view, column) in VALUES:
        tests.append({"accepted_values": {"arguments": {"values": list(VALUES[view, column])}}})
    if (view, column) == ("missed_calls", "id"):
        tests.append({"relationships": {"arguments": {"to": f"source('{NAME}', 'calls')", "field": "id"}}})
        if not dataset.has("calls", "user_id"):  # ids are unique within an account
            tests.append("unique")
    return {"data_tests": tests} if tests else {}


def _described_tables() -> Iterator[tuple[str, tuple[str, dict[str, str]]]]:
    """Every table of the catalog with its description and those of its columns."""
    for table in (accounts, load_windows):
        yield table.TABLE, (table.DESCRIPTION, _descriptions(table.FIELDS))
    for resource in resources().values():
        fields = [*resource.fields.values(), *resource.computed.values()]
        yield resource.name, (resource.description, _descriptions(fields))
        for field in fields:
            if field.type == LIST:
                items = [field.items] if field.items else [*field.children.values()]
                yield f"{resource.name}__{field.name}", (field.description, _descriptions(items))


def _descriptions(fields: Sequence[Field]) -> dict[str, str]:
    return {field.name: field.description for field in flatten(fields) if field.type != LIST}


def _yaml(content: Any) -> str:
    return yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=120)
