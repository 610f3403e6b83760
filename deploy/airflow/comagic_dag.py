"""Loads CoMagic's data every night by dlt's Airflow helper: a task a report, one for the dictionaries, one at a time.

A scheduled run loads what is new, as the command line does. A backfill loads its data interval again, and a run that is
started by hand the period of its parameters `since` and `until` (wall times of the account), without moving the cursor.

Put `comagic/`, `comagic_pipeline.py` and this file into the DAG folder, and the settings into the environment
(`DESTINATION_TYPE`, `SOURCES__COMAGIC__CREDENTIALS__ACCESS_TOKEN`, ...); see deploy/README.md, Airflow.
"""

from datetime import datetime, timedelta
from typing import Any, Callable, List, Optional, Sequence, Tuple

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
from comagic.settings import configured_settings
from comagic_pipeline import chosen_period, opened_pipeline

ZONE = "Europe/Moscow"


def period() -> Tuple[Optional[datetime], Optional[datetime]]:
    """The period that the run is to load again, as wall times of the zone; none for a scheduled run."""
    context: Any = get_current_context()
    since, until = (context["params"].get(name) for name in ("since", "until"))
    if since or until:
        return chosen_period(since, until)
    if str(context["dag_run"].run_type).endswith("backfill"):
        start, end = (context[f"data_interval_{edge}"].in_timezone(ZONE) for edge in ("start", "end"))
        return start.naive(), end.naive()
    return None, None


def source_of(names: Sequence[str]) -> Callable[[], DltSource]:
    """What a task reads, made when it runs."""

    def source() -> DltSource:
        since, until = period()
        return comagic_source(since=since, until=until).with_resources(*names)

    return source


@dag(
    schedule="17 1 * * *",
    start_date=pendulum.datetime(2026, 11, 1, tz=ZONE),
    catchup=False,
    max_active_runs=1,  # two at once would fill the same staging tables
    params={"since": "", "until": ""},
    default_args={"retries": 3, "retry_delay": timedelta(minutes=5), "execution_timeout": timedelta(hours=6)},
    tags=["comagic"],
)
def comagic() -> None:
    """One task group after the other."""
    chosen = configured_settings().resources
    together: List[List[str]] = [[name] for name in chosen if name in reports()]
    if dictionaries := [name for name in chosen if name not in reports()]:
        together.append(dictionaries)
    before = None
    for names in together:
        group = PipelineTasksGroup(names[0] if names[0] in reports() else "dictionaries", wipe_local_data=True)
        group.add_run(opened_pipeline(None, demo=False), source_of(names), decompose="none", trigger_rule="all_done")
        if before is not None:
            before >> group
        before = group


comagic()
