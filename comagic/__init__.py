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

from comagic.catalog import DAY, LIST, Dictionary, Field, Report, Resource, dictionaries, reports
from comagic.client import DataApiClient
from comagic.columns import CHILD_COLUMNS, ROOT_COLUMNS, columns, described
from comagic.credentials import KeyCredentials, LoginCredentials
from comagic.exceptions import ComagicError, ConfigurationError
from comagic.journal import Journal
from comagic.load_windows import declare_load_windows, load_window
from comagic.privacy import Privacy
from comagic.reading import WindowReader, WindowResult, every_parameters, read_dictionary
from comagic.rows import RowShaper
from comagic.settings import (
    BASE_URL,
    CEILING,
    LOOKBACK_DAYS,
    START_DATE,
    WINDOW_DAYS,
    Settings,
    configured_settings,
    parse_zone,
)
from comagic.unfinished import UnfinishedPass
from comagic.windows import day_start, plan_windows, to_instant, to_wall

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
    )
    api = client or DataApiClient(credentials, base_url, user_id)
    for report in reports().values():
        yield report_resource(report, settings, api, journal, since, until)
    for dictionary in dictionaries().values():
        yield dictionary_resource(dictionary, settings, api, journal)


def report_resource(
    report: Report,
    settings: Settings,
    client: DataApiClient,
    journal: Optional[Journal],
    since: Optional[datetime],
    until: Optional[datetime],
) -> DltResource:
    """Makes the dlt resource of a report: `load_report` with the report's key, merge, columns and cursor."""
    selected, privacy = settings.selected(report), settings.privacy.of(report)

    # No lag: the lookback is whole days of the account's clock, which load_report counts back.
    last_end = dlt.sources.incremental[datetime](report.cursor)

    def period() -> Iterator[TDataItems]:
        yield from load_report(report, selected, settings, client, journal, since, until, None)

    def news(cursor: dlt.sources.incremental[datetime] = last_end) -> Iterator[TDataItems]:
        yield from load_report(report, selected, settings, client, journal, None, until, cursor)

    resource = dlt.resource(news if since is None else period, name=report.name, selected=report.name == "calls")
    declare_load_windows(resource)
    resource.apply_hints(
        primary_key=report.primary_key,
        # upsert, not delete-insert: one MERGE a table, so no reader sees a hole and a crash between two statements
        # leaves none, where a delete-insert that died in between left 0 of 5 rows. It wants each key once in a load
        # package, which WindowReader keeps. Statements and bytes of a day: comagic/README.md, Cost.
        # Where what a row is about can change, with a merge key, upsert would leave the old row beside the new one.
        write_disposition={"disposition": "merge", "strategy": "delete-insert"}
        if report.merge_key
        else {
            "disposition": "merge",
            "strategy": "upsert",
            "skip_unchanged_rows": settings.skip_unchanged_rows,
        },
        merge_key=list(report.merge_key) or None,
        **_declared(report, selected, privacy),
    )
    # The merge joins by the key, of which BigQuery reads only the blocks that it needs where the table is clustered.
    return bigquery_adapter(
        resource,
        partition="partition_date",
        cluster=list(report.merge_key) or report.primary_key,
        partition_expiration_days=settings.partition_expiration_days,
    )


def load_report(
    report: Report,
    selected: Sequence[str],
    settings: Settings,
    client: DataApiClient,
    journal: Optional[Journal],
    since: Optional[datetime],
    until: Optional[datetime],
    cursor: Optional["dlt.sources.incremental[datetime]"],
) -> Iterator[TDataItems]:
    """Reads a period window by window, and moves on with each that is finished.

    A pass over the period may take several runs. Where an unfinished one stopped is kept in the resource's state, so
    that the next run goes on there rather than at the period's beginning; the cursor itself never moves back.
    """
    zone = settings.zone or parse_zone("get.account.timezone", client.account().timezone)
    now = to_wall(pendulum.now("UTC"), zone)
    end = min(until, now) if until else now
    unfinished = UnfinishedPass(dlt.current.resource_state(report.name), since, until)
    reached = cursor.last_value if cursor is not None else None
    begin = _first_moment(report, settings, zone, since, reached, unfinished.stopped_at)
    if cursor is not None:
        cursor.advance(None)  # type: ignore[arg-type]  # no filtering: rows are cut to windows here

    package_rows = settings.load_package_rows or CEILING
    shaper = RowShaper(report, zone, settings.privacy.of(report))
    windows = plan_windows(begin, end, settings.window_days, report.longest_period_days)
    notes = journal or Journal()
    goes_on = unfinished.stopped_at is not None
    notes.plan(report.name, begin, end, len(windows), goes_on)
    loaded = 0
    try:
        parameters = every_parameters(client, report)
        notes.plan(report.name, begin if parameters else end, end, len(windows) * len(parameters), goes_on)
        reader = WindowReader(client, report, selected, zone, package_rows, parameters)
        for part in reader.read(windows):
            if not isinstance(part, WindowResult):
                yield shaper.shape(part)
                continue
            yield load_window(part, end, cursor is not None, zone)
            notes.finish(part)
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
    except ComagicError as error:
        if journal is None:
            raise
        journal.stop(report.name, error)


def _first_moment(
    report: Report,
    settings: Settings,
    zone: tzinfo,
    since: Optional[datetime],
    reached: Optional[datetime],
    stopped_at: Optional[datetime],
) -> datetime:
    """The wall time at which to begin: where a pass stopped, or at `since`, or the lookback before what was reached."""
    if stopped_at:
        begin = to_wall(stopped_at, zone)
    elif since or reached is None:
        begin = since or settings.start
    else:
        begin = day_start(to_wall(reached, zone) - settings.lookback)
    return day_start(begin) if report.fields[report.cursor].type == DAY else begin


def dictionary_resource(
    dictionary: Dictionary, settings: Settings, client: DataApiClient, journal: Optional[Journal]
) -> DltResource:
    """Makes the dlt resource of a dictionary: read whole, and put in the place of what was there."""
    privacy = settings.privacy.of(dictionary)
    selected = [name for name in dictionary.fields if not privacy.excludes(name)]

    def entries() -> Iterator[TDataItems]:
        notes = journal or Journal()
        notes.begin_dictionary(dictionary.name)
        try:
            zone = settings.zone or parse_zone("get.account.timezone", client.account().timezone)
            rows = RowShaper(dictionary, zone, privacy).shape(read_dictionary(client, dictionary, selected))
        except ComagicError as error:
            notes.stop(dictionary.name, error)
            raise  # nothing read is not the same as no entries: the table stays as it was
        notes.finish_dictionary(dictionary.name, len(rows))
        yield rows

    resource = dlt.resource(entries, name=dictionary.name, primary_key=dictionary.primary_key, selected=False)
    # Not by bigquery_adapter: without a partition or clusters it hands on no columns, which dlt takes as "none".
    resource.apply_hints(write_disposition="replace", **_declared(dictionary, selected, privacy))
    return resource


def _declared(resource: Resource, selected: Sequence[str], privacy: Privacy) -> Dict[str, Any]:
    """Hints that say what the catalog says: columns, child tables, descriptions."""
    kept = [_kept(resource.fields[name], privacy) for name in selected]
    return {
        "columns": {
            **columns([*kept, *resource.computed.values()], resource.primary_key),
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
