"""Loads CoMagic's data every night by dlt's Airflow helper: one task per report, one for all dictionaries, in sequence.

A scheduled run loads what is new, as the command line does. A backfill loads its data interval again; a manual run
loads the period of its parameters `since` and `until` (local times of the account). Both leave the cursor alone.

Copy `comagic/`, `comagic_pipeline.py` and this file into the DAG folder, and put the settings into the environment
(`DESTINATION_TYPE`, `SOURCES__COMAGIC__CREDENTIALS__ACCESS_TOKEN`, ...); see deploy/README.md, Airflow.
"""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any

import dlt
import pendulum
from dlt.extract import DltSource
from dlt.helpers.airflow_helper import PipelineTasksGroup

try:
    from airflow.sdk import dag, get_current_context
except ImportError:  # Airflow 2
    from airflow.decorators import dag
    from airflow.operators.python import get_current_context

from comagic import comagic_source
from comagic.catalog import reports
from comagic.cli.commands import parse_period
from comagic.load.destinations import choose_dataset, choose_destination, choose_staging
from comagic.settings import resolve_settings

ZONE = "Europe/Moscow"


def period() -> tuple[datetime | None, datetime | None]:
    """The period to load again, as local times; none for a scheduled run."""
    context: Any = get_current_context()
    since, until = (context["params"].get(name) for name in ("since", "until"))
    if since or until:
        return parse_period(since, until)
    if str(context["dag_run"].run_type).endswith("backfill"):
        start, end = (context[f"data_interval_{edge}"].in_timezone(ZONE) for edge in ("start", "end"))
        return start.naive(), end.naive()
    return None, None


def make_source(names: Sequence[str]) -> Callable[[], DltSource]:
    """What a task reads, created when it runs."""

    def source() -> DltSource:
        since, until = period()
        return comagic_source(since=since, until=until).with_resources(*names)

    return source


@dag(
    schedule="17 1 * * *",
    start_date=pendulum.datetime(2026, 11, 1, tz=ZONE),
    catchup=False,
    max_active_runs=1,  # two runs at once would write to the same staging tables
    params={"since": "", "until": ""},
    default_args={"retries": 3, "retry_delay": timedelta(minutes=5), "execution_timeout": timedelta(hours=6)},
    tags=["comagic"],
)
def comagic() -> None:
    """One task group after the other."""
    chosen = resolve_settings().resources
    groups: list[list[str]] = [[name] for name in chosen if name in reports()]
    if dictionaries := [name for name in chosen if name not in reports()]:
        groups.append(dictionaries)
    before = None
    for names in groups:
        # The group first: it gives the pipeline a working folder of its own.
        group = PipelineTasksGroup(names[0] if names[0] in reports() else "dictionaries", wipe_local_data=True)
        pipeline = dlt.pipeline(
            "comagic",
            destination=choose_destination(),
            staging=choose_staging(None),
            dataset_name=choose_dataset(),
        )
        group.add_run(pipeline, make_source(names), decompose="none", trigger_rule="all_done")
        if before is not None:
            before >> group
        before = group


comagic()
