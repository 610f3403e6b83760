"""Loads CoMagic's data every night by dlt's Airflow helper: one task per report, one for all dictionaries, in sequence.

A scheduled run loads what is new, as the command line does. A backfill loads its data interval again; a manual run
loads the period of its parameters `since` and `until` (local times of the account). Both leave the cursor alone.

A failed group does not keep the others from running; the task `watcher` then fails the run.

Copy `comagic/`, `comagic_pipeline.py` and this file into the DAG folder. Settings are environment variables
(`DESTINATION_TYPE`, ...), credentials are in Airflow's Variable `dlt_secrets_toml`; see deploy/README.md, Airflow.
This file is for Airflow 2 and 3.
"""

import os
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any

import dlt
import pendulum
from airflow.timetables.interval import CronDataIntervalTimetable
from dlt.extract import DltSource
from dlt.helpers.airflow_helper import PipelineTasksGroup

try:
    from airflow.sdk import dag, get_current_context, task
except ImportError:  # Airflow 2
    from airflow.decorators import dag, task
    from airflow.operators.python import get_current_context

from comagic import comagic_source
from comagic.catalog import reports
from comagic.cli.options import parse_period
from comagic.load.destinations import choose_dataset, choose_destination, choose_staging
from comagic.settings import resolve_settings

ZONE = "Europe/Moscow"

# Without this, dlt looks up an Airflow Variable for each of its settings: hundreds of requests to a secrets backend
# whenever this file is parsed. It would also take a Variable of another DAG, such as `timezone`.
for name in ("ONLY_SECRETS", "ONLY_TOML_FRAGMENTS"):
    os.environ.setdefault(f"PROVIDERS__AIRFLOW_SECRETS__{name}", "true")


def period() -> tuple[datetime | None, datetime | None]:
    """The period to load again, as local times; none for a scheduled run."""
    context: Any = get_current_context()
    since, until = (context["params"].get(name) for name in ("since", "until"))
    if since or until:
        return parse_period(since, until)
    run_type = context["dag_run"].run_type  # an enum in Airflow 3, whose text is not its value
    if getattr(run_type, "value", run_type) == "backfill":
        start, end = (context[f"data_interval_{edge}"].in_timezone(ZONE) for edge in ("start", "end"))
        return start.naive(), end.naive()
    return None, None


def make_source(names: Sequence[str]) -> Callable[[], DltSource]:
    """What a task reads, created when it runs."""

    def source() -> DltSource:
        since, until = period()
        return comagic_source(since=since, until=until).with_resources(*names)

    return source


@task(trigger_rule="one_failed", retries=0)
def watcher() -> None:
    """Fails the run after a failed group: the groups after it succeed, and without this so would the run."""
    raise RuntimeError("A group failed; its own log says why.")


@dag(
    # Not a cron string: in Airflow 3 its data intervals are empty, and a backfill would load nothing.
    schedule=CronDataIntervalTimetable("17 1 * * *", timezone=ZONE),
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
    before, last = None, watcher()
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
        group >> last
        before = group


comagic()
