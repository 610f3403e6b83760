"""Builds a dashboard of calls in Yandex DataLens: connection, datasets over the views, charts. See docs/dashboards.md.

    pip install "datalens-sdk>=3.2,<4"
    python deploy/datalens/dashboard.py --workbook WORKBOOK_ID --bigquery my-project --key reader.json

It was never run against DataLens: a test runs it against a local stand-in, and DataLens's own SDK checks each request.
It creates, and never changes or deletes; run it again into another workbook.
"""

import argparse
import base64
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from datalens_sdk import DashboardTab, DataLensClientYC, EntryLocation, StaticYCIAMAuthProvider


@dataclass(frozen=True)
class Chart:
    """A chart.

    Attributes:
        name: its name in the dashboard's layout.
        view: the view that it is about.
        titles: its title in each language.
        kind: the builder in the SDK.
        slots: fields in each slot of the chart.
        size: columns, of 36, and rows that it takes.
        order: the field by which rows are sorted, the largest on top.
    """

    name: str
    view: str
    titles: Mapping[str, str]
    kind: str
    slots: Mapping[str, tuple[str, ...]]
    size: tuple[int, int] = (18, 14)
    order: str = ""


MEASURES: Mapping[str, tuple[str, ...]] = {
    "calls_daily": ("calls", "incoming", "missed", "first", "target"),
    "calls_hourly": ("calls", "missed"),
    "sources_daily": ("calls", "missed", "target", "cost"),
    "employees_daily": ("offered", "answered", "missed"),
    "tags_daily": ("calls",),
}
"""The views, and their columns that are sums."""

RATIOS: Mapping[str, Mapping[str, str]] = {
    "calls_daily": {"missed_share": "SUM([missed]) / SUM([incoming])"},
    "sources_daily": {"call_price": "SUM([cost]) / SUM([calls])"},
}
"""Figures that are no sums: of sums, since an average of shares would be wrong."""

CHARTS = (
    Chart("total_calls", "calls_daily", {"en": "Calls", "ru": "Звонки"}, "indicator", {"y": ("calls",)}, (12, 6)),
    Chart("total_missed", "calls_daily", {"en": "Missed", "ru": "Пропущено"}, "indicator", {"y": ("missed",)}, (12, 6)),
    Chart(
        "missed_share",
        "calls_daily",
        {"en": "Share missed", "ru": "Доля пропущенных"},
        "indicator",
        {"y": ("missed_share",)},
        (12, 6),
    ),
    Chart(
        "calls_by_day",
        "calls_daily",
        {"en": "Calls and missed calls by day", "ru": "Звонки и пропущенные по дням"},
        "line",
        {"x": ("partition_date",), "y": ("calls", "missed")},
    ),
    Chart(
        "missed_by_hour",
        "calls_hourly",
        {"en": "When calls are missed", "ru": "Когда пропускают звонки"},
        "pivot_table",
        {"rows": ("weekday",), "columns": ("hour",), "measures": ("missed",)},
    ),
    Chart(
        "campaigns",
        "sources_daily",
        {"en": "Campaigns and their cost", "ru": "Кампании и расходы"},
        "flat_table",
        {"columns": ("campaign", "calls", "target", "cost", "call_price")},
        order="calls",
    ),
    Chart(
        "employees",
        "employees_daily",
        {"en": "Who answers", "ru": "Кто отвечает"},
        "bar",
        {"y": ("employee",), "x": ("answered", "missed")},
        order="answered",
    ),
    Chart("tags", "tags_daily", {"en": "Tags", "ru": "Теги"}, "bar", {"y": ("tag",), "x": ("calls",)}, order="calls"),
)

TITLES = {"en": "Calls", "ru": "Звонки"}
PERIODS = {"en": "Period", "ru": "Период"}

MakeSource = Callable[[str], Any]
"""Makes the source of a view."""


def build(client: Any, make_source: MakeSource, location: Any, language: str) -> Any:
    """Builds datasets, charts and the dashboard.

    Args:
        client: the SDK's client.
        make_source: makes the source of a view.
        location: the workbook.
        language: `en` or `ru`.

    Returns:
        The dashboard.
    """
    datasets = {view: build_dataset(client, view, make_source(view), location) for view in MEASURES}
    tab = DashboardTab(TITLES[language], tab_id="calls")
    days = datasets["calls_daily"].fields.by_name("partition_date")
    tab.add_selector(
        item_id="period",
        dataset=datasets["calls_daily"],
        field=days,
        title=PERIODS[language],
        element="date",
        is_range=True,
        size=(36, 2),
    )
    tab.add_alias(*(datasets[view].fields.by_name("partition_date").guid for view in MEASURES))
    for chart in CHARTS:
        tab.add_chart(
            build_chart(client, chart, datasets[chart.view], location, language),
            item_id=chart.name,
            title=chart.titles[language],
            size=chart.size,
        )
    return client.create.dashboard(name=TITLES[language], location=location).add_tab(tab).build()


def build_dataset(client: Any, view: str, source: Any, location: Any) -> Any:
    """Builds the dataset of a view: its sums as measures, and figures made of sums."""
    created = client.create.dataset(name=view, location=location).sources([source]).build()
    dataset = client.get.dataset(by_id=created.id)  # with its fields, which the creation's response lacks
    update = dataset.update
    for name in MEASURES[view]:
        update = update.change_field_aggregation(field=dataset.fields.by_name(name), to="sum")
    for name, formula in RATIOS.get(view, {}).items():
        update = update.add_calculation(name=name, formula=formula, kind="MEASURE", cast="float")
    update.mode("publish").execute()
    return client.get.dataset(by_id=created.id)


def build_chart(client: Any, chart: Chart, dataset: Any, location: Any, language: str) -> Any:
    """Builds a chart on its view's dataset."""
    builder = getattr(client.create.wizard_chart, chart.kind)(name=chart.titles[language], location=location)
    builder = builder.dataset(dataset)
    for slot, names in chart.slots.items():
        builder = getattr(builder, slot)([dataset.fields.by_name(name) for name in names])
    if chart.order:
        builder = builder.add_sort(dataset.fields.by_name(chart.order), direction="desc")
    return builder.build()


def connect_bigquery(client: Any, location: Any, project: str, key: Path) -> Any:
    """Creates a connection to BigQuery by the key of a service account that can read the dataset."""
    encoded = base64.b64encode(key.read_bytes()).decode()
    builder = client.create.connection.bigquery(name="BigQuery", location=location)
    return builder.project_id(project).credentials(encoded).build()


def connect_postgres(client: Any, location: Any, options: Mapping[str, str]) -> Any:
    """Creates a connection to PostgreSQL as a role that can read the schema; POSTGRES_PASSWORD has its password."""
    builder = client.create.connection.postgres(name="PostgreSQL", location=location)
    builder = builder.host(options["host"]).port(int(options.get("port", "5432"))).db_name(options["db"])
    return builder.username(options["user"]).password(os.environ["POSTGRES_PASSWORD"]).build()


def run(client: Any, arguments: argparse.Namespace) -> Any:
    """Builds everything that the command line asks for, and returns the dashboard."""
    location = EntryLocation.workbook(arguments.workbook)
    if arguments.bigquery:
        connection = connect_bigquery(client, location, arguments.bigquery, arguments.key)

        def make_source(view: str) -> Any:
            source = client.create.source(using=connection)
            return source.bigquery_table(alias=view, dataset_name=arguments.dataset, table_name=view).build(strict=True)
    else:
        options = dict(part.split("=", 1) for part in arguments.postgres.split(","))
        connection = connect_postgres(client, location, options)

        def make_source(view: str) -> Any:
            source = client.create.source(using=connection)
            table = source.pg_table(alias=view, db_name=options["db"], schema_name=arguments.dataset, table_name=view)
            return table.build(strict=True)

    return build(client, make_source, location, arguments.language)


def parse_arguments(words: list[str] | None = None) -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description="Build a dashboard of calls in Yandex DataLens.")
    parser.add_argument("--workbook", required=True, help="id of the workbook")
    parser.add_argument("--dataset", default="comagic", help="dataset, or PostgreSQL's schema, that has the views")
    parser.add_argument("--language", choices=("en", "ru"), default="en")
    place = parser.add_mutually_exclusive_group(required=True)
    place.add_argument("--bigquery", metavar="PROJECT")
    place.add_argument("--postgres", metavar="host=...,port=...,db=...,user=...")
    parser.add_argument("--key", type=Path, help="with --bigquery: the service account's key, a JSON file")
    arguments = parser.parse_args(words)
    if arguments.bigquery and not arguments.key:
        parser.error("--bigquery goes with --key")
    return arguments


def main() -> None:
    """Builds the dashboard with the token in DATALENS_IAM_TOKEN."""
    auth = StaticYCIAMAuthProvider(org_id=os.environ["DATALENS_ORG_ID"], token=os.environ["DATALENS_IAM_TOKEN"])
    with DataLensClientYC(auth=auth) as client:
        dashboard = run(client, parse_arguments())
    print(f"https://datalens.ru/{dashboard.id}")  # noqa: T201 - a script


if __name__ == "__main__":
    main()
