"""Loads call tracking data from CoMagic, UIS, CallGear and Novofon (Data API v2.0).

Resources, tables and columns are declared in `comagic/catalog`; this module turns each declared report into a dlt
resource. Data flows one way: windows of time (`windows`) → pages of the API (`client`, `reading`) → rows (`rows`) →
dlt, which does the schema, the child tables, the state and the merge.
"""

from dataclasses import replace
from datetime import datetime, tzinfo
from typing import Any, Dict, Iterable, Iterator, Optional, Sequence, Union

import dlt
import pendulum
from dlt.common.typing import TDataItems, TSecretStrValue
from dlt.destinations.adapters import bigquery_adapter
from dlt.extract import DltResource

from ..api.client import DataApiClient
from ..api.credentials import KeyCredentials, LoginCredentials
from ..catalog import DAY, LIST, Dictionary, Field, Report, Resource, resources
from ..exceptions import ComagicError, ConfigurationError
from ..settings import (
    BASE_URL,
    CEILING,
    LOOKBACK_DAYS,
    START_DATE,
    WINDOW_DAYS,
    configured_settings,
)
from .checkpoint import UnfinishedPass
from .context import Extraction, chosen_clients, resources_of
from .load_windows import declare_load_windows, load_window
from .privacy import Privacy
from .progress import Journal
from .reader import WindowReader, WindowResult, every_parameters, read_dictionary
from .schema import CHILD_COLUMNS, ROOT_COLUMNS, USER_ID, columns, described
from .transform import RowShaper
from .windows import day_start, plan_windows, to_instant, to_wall

__all__ = ["ComagicError", "ConfigurationError", "Journal", "KeyCredentials", "LoginCredentials", "comagic_source"]


@dlt.source(name="comagic", max_table_nesting=1)
def comagic_source(
    credentials: Union[KeyCredentials, LoginCredentials] = dlt.secrets.value,
    base_url: str = BASE_URL,
    start_date: Any = START_DATE,
    lookback_days: int = LOOKBACK_DAYS,
    window_days: int = WINDOW_DAYS,
    timezone: Optional[str] = None,
    fields: Any = None,
    exclude_fields: Any = None,
    pseudonymize_fields: Any = None,
    pseudonym_key: Optional[TSecretStrValue] = None,
    user_id: Optional[int] = None,
    user_ids: Any = None,
    skip_unchanged_rows: bool = True,
    partition_expiration_days: Optional[int] = None,
    stop_after_rows: int = 0,
    since: Optional[datetime] = None,
    until: Optional[datetime] = None,
    journal: Optional[Journal] = None,
    client: Optional[DataApiClient] = None,
) -> Iterable[DltResource]:
    """The reports and dictionaries of one account.

    A report is merged by its key into its table and child tables, a dictionary is read whole and replaced.

    A run loads what is new since the last one and reads the lookback again, since tags, sales and ratings change
    after a call and nothing in the API tells which did. With `since` it loads that period instead and leaves the
    cursor alone.

    Args:
        credentials: a key (`access_token`), or `login` and `password`.
        base_url: the brand's endpoint; see `comagic.settings.BRANDS`.
        start_date: where the first run begins: `YYYY-MM-DD` or `YYYY-MM-DD HH:MM:SS`, in the account's zone.
        lookback_days: whole days before the last run that a run reads again, from 1.
        window_days: length of one query's period, 1 to 90.
        timezone: IANA name of the account's zone, if `get.account` is not to be believed.
        fields: `all`, or names of fields; the default set is in the catalog.
        exclude_fields: names of fields that are left out, `list.field` for one of a list's objects.
        pseudonymize_fields: names of text fields whose values are replaced by pseudonyms.
        pseudonym_key: the secret key of the pseudonyms, at least 16 characters.
        user_id: client of an agency; only for agency logins.
        user_ids: several clients of an agency, a list of ids or `all`: each has resources of its own, `calls_7`, with
            cursors of their own, which share tables whose rows carry `user_id`, a part of their key.
        skip_unchanged_rows: leave rows alone that are the same in the destination; in BigQuery, comparing them reads
            all columns of the whole table.
        partition_expiration_days: BigQuery drops days that are older; it is set when a table is made.
        stop_after_rows: stop a run at the first finished window after so many rows; the journal tells whether it
            stopped, and the next run goes on from there. 0: never.
        since: wall time at which to begin, instead of the cursor.
        until: wall time before which to end; default: now.
        journal: takes notes of the windows that were read. With it, an error of the API or a deadline in the middle
            of a pass ends the run in order, and what was read before is kept: look at `journal.first_error`.
        client: an open client, to share its session and its account between runs.

    Returns:
        One dlt resource a report or dictionary; those other than calls come if they are named, by `with_resources`.

    Raises:
        ConfigurationError: a setting is unknown or wrong; the text begins with its name.
    """
    settings = configured_settings(
        start_date=start_date,
        lookback_days=lookback_days,
        window_days=window_days,
        timezone=timezone,
        fields=fields,
        exclude_fields=exclude_fields,
        pseudonymize_fields=pseudonymize_fields,
        pseudonym_key=pseudonym_key,
        load_package_rows=stop_after_rows,
        skip_unchanged_rows=skip_unchanged_rows,
        partition_expiration_days=partition_expiration_days,
        user_id=user_id,
        user_ids=user_ids,
    )
    api = client or DataApiClient(credentials, base_url, user_id)
    clients = chosen_clients(api, settings.user_ids)
    for of_agency in clients:
        extraction = Extraction(settings, api, journal, since, until, of_agency)
        for resource in resources_of(resources().values(), of_agency, clients):
            if isinstance(resource, Report):
                yield report_resource(resource, extraction)
            else:
                yield dictionary_resource(resource, extraction)


def report_resource(report: Report, extraction: Extraction) -> DltResource:
    """Makes the dlt resource of a report: `load_report` with the report's key, merge, columns and cursor."""
    settings = extraction.settings
    selected, key = settings.selected(report), extraction.key(report)

    # No lag: the lookback is whole days of the account's clock, which load_report counts back.
    last_end = dlt.sources.incremental[datetime](report.cursor)

    def period() -> Iterator[TDataItems]:
        yield from load_report(report, selected, extraction, None)

    def news(cursor: dlt.sources.incremental[datetime] = last_end) -> Iterator[TDataItems]:
        yield from load_report(report, selected, extraction, cursor)

    resource = dlt.resource(
        news if extraction.since is None else period, name=extraction.name(report), selected=report.name == "calls"
    )
    declare_load_windows(resource)
    merge_key = [*extraction.parameters(report), *report.merge_key] if report.merge_key else None
    resource.apply_hints(
        table_name=report.name,
        primary_key=key,
        # upsert, not delete-insert: one MERGE a table, so no reader sees a hole and a crash between two statements
        # leaves none, where a delete-insert that died in between left 0 of 5 rows. It wants each key once in a load
        # package, which WindowReader keeps. Statements and bytes of a day: docs/internals.md, Cost.
        # Where what a row is about can change, with a merge key, upsert would leave the old row beside the new one.
        write_disposition={"disposition": "merge", "strategy": "delete-insert"}
        if merge_key
        else {
            "disposition": "merge",
            "strategy": "upsert",
            "skip_unchanged_rows": settings.skip_unchanged_rows,
        },
        merge_key=merge_key,
        **_declared(report, selected, extraction),
    )
    # The merge joins by the key, of which BigQuery reads only the blocks that it needs where the table is clustered.
    return bigquery_adapter(
        resource,
        partition="partition_date",
        cluster=merge_key or key,
        partition_expiration_days=settings.partition_expiration_days,
    )


def load_report(
    report: Report,
    selected: Sequence[str],
    extraction: Extraction,
    cursor: Optional["dlt.sources.incremental[datetime]"],
) -> Iterator[TDataItems]:
    """Reads a period window by window, as far as it gets: with a journal, an error ends it in order."""
    try:
        yield from _load_windows(report, selected, extraction, cursor)
    except ComagicError as error:
        if extraction.journal is None:
            raise
        extraction.journal.stop(extraction.name(report), error, extraction.begun(report))


def _load_windows(
    report: Report,
    selected: Sequence[str],
    extraction: Extraction,
    cursor: Optional["dlt.sources.incremental[datetime]"],
) -> Iterator[TDataItems]:
    """Reads a period window by window, and moves on with each that is finished.

    A pass over the period may take several runs. Where an unfinished one stopped is kept in the resource's state, so
    that the next run goes on there rather than at the period's beginning; the cursor itself never moves back.
    """
    name, settings, client = extraction.name(report), extraction.settings, extraction.client
    zone = extraction.zone()
    now = to_wall(pendulum.now("UTC"), zone)
    end = min(extraction.until, now) if extraction.until else now
    unfinished = UnfinishedPass(dlt.current.resource_state(name), extraction.since, extraction.until)
    reached = cursor.last_value if cursor is not None else None
    begin = _first_moment(report, extraction, zone, reached, unfinished.stopped_at)
    if cursor is not None:
        cursor.advance(None)  # type: ignore[arg-type]  # no filtering: rows are cut to windows here

    parameters = every_parameters(client, report, **extraction.parameters(report))
    package_rows = settings.load_package_rows or CEILING
    reader = WindowReader(client, report, selected, zone, package_rows, parameters)
    shaper = RowShaper(report, zone, extraction.privacy(report))
    windows = plan_windows(begin, end, settings.window_days, report.longest_period_days) if parameters else []
    notes = extraction.journal or Journal()
    planned = replace(
        extraction.begun(report),
        begin=begin if windows else end,
        end=end,
        position=begin,
        planned=len(windows) * len(parameters),
        goes_on=unfinished.stopped_at is not None,
    )
    notes.plan(name, planned)
    loaded = 0
    for part in reader.read(windows):
        if not isinstance(part, WindowResult):
            yield shaper.shape(part)
            continue
        yield load_window(part, end, cursor is not None, zone)
        notes.finish(name, part)
        loaded += part.loaded
        is_last = part.reached >= end
        instant = to_instant(part.reached, zone)
        if cursor is not None:
            reached = max(reached, instant) if reached else instant
            cursor.advance(reached)
        unfinished.note(None if is_last else instant)
        is_whole = part.reached >= part.window.end  # else the next run would begin where this one did
        if settings.load_package_rows and loaded >= package_rows and is_whole and not is_last:
            return


def _first_moment(
    report: Report,
    extraction: Extraction,
    zone: tzinfo,
    reached: Optional[datetime],
    stopped_at: Optional[datetime],
) -> datetime:
    """The wall time at which to begin: where a pass stopped, or at `since`, or the lookback before what was reached."""
    if stopped_at:
        begin = to_wall(stopped_at, zone)
    elif extraction.since or reached is None:
        begin = extraction.since or extraction.settings.start
    else:
        begin = day_start(to_wall(reached, zone) - extraction.settings.lookback)
    return day_start(begin) if report.fields[report.cursor].type == DAY else begin


def dictionary_resource(dictionary: Dictionary, extraction: Extraction) -> DltResource:
    """Makes the dlt resource of a dictionary: read whole, and put in the place of what was there."""
    name, privacy = extraction.name(dictionary), extraction.privacy(dictionary)
    parameters = extraction.parameters(dictionary)
    selected = [field for field in dictionary.fields if not privacy.excludes(field)]

    def entries() -> Iterator[TDataItems]:
        notes = extraction.journal or Journal()
        if name not in notes.entries:
            begun = extraction.begun(dictionary)
            notes.plan(name, begun)
            try:
                found = read_dictionary(extraction.client, dictionary, selected, **parameters)
                rows = RowShaper(dictionary, extraction.zone(), privacy).shape(found)
            except ComagicError as error:
                notes.stop(name, error, begun)
                raise  # nothing read is not the same as no entries: the table stays as it was
            notes.finish_dictionary(name, rows)
        yield notes.entries[name]

    resource = dlt.resource(entries, name=name, primary_key=extraction.key(dictionary), selected=False)
    # Not by bigquery_adapter: without a partition or clusters it hands on no columns, which dlt takes as "none".
    resource.apply_hints(
        table_name=dictionary.name,
        # Of several clients each replaces what is its own.
        write_disposition={"disposition": "merge", "strategy": "delete-insert"} if parameters else "replace",
        merge_key=list(parameters) or None,
        **_declared(dictionary, selected, extraction),
    )
    return resource


def _declared(resource: Resource, selected: Sequence[str], extraction: Extraction) -> Dict[str, Any]:
    """Hints that say what the catalog says: columns, child tables, descriptions."""
    privacy = extraction.privacy(resource)
    kept = [_kept(resource.fields[name], privacy) for name in selected]
    client = [USER_ID] if extraction.parameters(resource) else []
    return {
        "columns": {
            **columns([*client, *kept, *resource.computed.values()], extraction.key(resource)),
            **described(ROOT_COLUMNS),
        },
        "nested_hints": {of.name: _child_hints(of) for of in kept if of.type == LIST},
        "additional_table_hints": _table_description(resource.description),
        # A value that does not fit its column stops the load: a silent second column would hide it.
        "schema_contract": {"tables": "evolve", "columns": "evolve", "data_type": "freeze"},
    }


def _table_description(text: str) -> Dict[str, Any]:
    """A table's description, for dlt's own schema and for BigQuery."""
    return {"description": text, "x-bigquery-table-description": text}


def _kept(of: Field, privacy: Privacy) -> Field:
    """A field without those of its objects' fields that are left out."""
    return replace(
        of, children={name: child for name, child in of.children.items() if not privacy.excludes(f"{of.name}.{name}")}
    )


def _child_hints(of: Field) -> Any:
    """Hints of a list's child table; its rows are found by the row that they belong to, so it is clustered by that."""
    fields = [of.items] if of.items else of.children.values()
    return dlt.mark.make_nested_hints(
        columns={**columns(fields), **described(CHILD_COLUMNS)},
        additional_table_hints={  # type: ignore[call-arg]  # dlt takes it, its type does not say so
            **_table_description(of.description),
            "x-bigquery-cluster-columns": ["_dlt_root_id"],
        },
    )
