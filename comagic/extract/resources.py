"""Turns the declared reports and dictionaries into dlt resources.

A report's period is read window by window: windows (`windows`) → pages (`reader`, `pages`) → rows (`transform`) → dlt,
which does the schema, the child tables, the state and the merge.
"""

from collections.abc import Iterable, Iterator, Mapping, MutableMapping, Sequence
from dataclasses import replace
from datetime import datetime, tzinfo
from typing import Any

import dlt
import pendulum
from dlt.common.json import json
from dlt.common.typing import TDataItems
from dlt.destinations.adapters import bigquery_adapter
from dlt.extract import DltResource
from dlt.extract.incremental import IncrementalResourceWrapper

from ..api.client import MAX_QUERY_ROWS
from ..catalog import BY_DAY, LIST, PARTITION_DATE, Dictionary, Field, Parents, Report, Resource
from ..exceptions import ComagicError, ConfigurationError
from ..redaction import printable
from .accounts import account_row, declare_accounts
from .changed_settings import LoadedWith
from .checkpoint import Checkpoint, Lookbacks
from .context import Context
from .dictionary import READ_AT_KEY, ReadDictionary, read_whole
from .load_windows import declare_load_windows, load_window
from .manifest import MAX_DAYS, Manifest, current_manifest, package_rows
from .merge_strategy import check_can_merge, merge_by_key, replace_by_key
from .parents import ParentsReader, affordable_requests, parents_window
from .period import plan_period
from .progress import Progress
from .reader import WindowReader, WindowResult, parameter_sets
from .rejected_rows import declare_rejected_rows, rejected_rows
from .rereads import forget_days, note_days
from .schema import (
    ROOT_COLUMNS,
    USER_ID,
    carry_to_lists,
    child_table,
    columns,
    describe_columns,
    flatten,
    table_columns,
    table_description,
    without_excluded,
)
from .shaping import ShapedRow, ShapingProcess, can_shape
from .transform import Row, RowTransformer
from .windows import API_TIME, SECOND, to_local, to_utc

SOURCE_NAME = "comagic"
ACCOUNTS_KEY = "accounts"
"""Key in the source's state: whose data the dataset has, by client of an agency."""

PART_ROWS = 2_000
"""Rows that are given to dlt at once: it writes them as one line of JSON, and reads that as a whole to normalize it."""

Cursor = dlt.sources.incremental[datetime]


def make_resources(
    context: Context, chosen: Iterable[Resource], read: Mapping[str, ReadDictionary] | None = None
) -> Iterator[DltResource]:
    """Makes a dlt resource of each report and dictionary; all but `calls` are loaded only if they are selected.

    Args:
        context: what they are read with.
        chosen: the reports and dictionaries.
        read: dictionaries that were read already, by name of the dlt resource.

    Raises:
        ConfigurationError: a setting does not fit one of them.
    """
    # Text that looks like a time stays text: dlt would take it to be in UTC.
    dlt.current.source_schema().remove_type_detection("iso_timestamp")
    for resource in chosen:
        if isinstance(resource, Report):
            carry_to_lists(dlt.current.source_schema(), resource.name)
            yield report_resource(resource, context)
        else:
            yield dictionary_resource(resource, context, (read or {}).get(context.name(resource)))


def make_package(
    parts: Iterable[tuple[Context, Sequence[Resource]]], read: Mapping[str, ReadDictionary] | None = None
) -> Iterator[DltResource]:
    """Makes the dlt resources of a load package: those of an account, or of several clients of an agency.

    Args:
        parts: the reports and dictionaries of each client.
        read: dictionaries that were read already, by name of the dlt resource; one that has not changed since the
            last load is noted in `load_windows`, and nothing else is written of it.
    """
    for context, chosen in parts:
        yield from make_resources(context, chosen, read)
    unchanged = [one for one in (read or {}).values() if not one.has_changed]
    if unchanged:
        yield unchanged_resource(unchanged)


make_source = dlt.source(make_package, name=SOURCE_NAME, section=SOURCE_NAME, max_table_nesting=1)
"""The same as a dlt source, one for each load package; see `comagic_source` for the one to use in your own code."""


def report_resource(report: Report, context: Context) -> DltResource:
    """Makes the dlt resource of a report: `load_report` with the report's key, merge, columns and cursor."""
    settings, key = context.settings, context.key(report)

    merge_key = [*context.parameters(report), *report.merge_key] if report.merge_key else None
    # With a merge key, where what a row is about can change, upsert would leave the old row beside the new one.
    merge = replace_by_key() if merge_key else merge_by_key(settings.skip_unchanged_rows)
    # No lag: the lookback is in whole local days, and load_report counts it.
    last_end = Cursor(report.cursor)

    def period() -> Iterator[TDataItems]:
        check_can_merge(merge)
        yield from load_report(report, context, None)

    def news(cursor: Cursor = last_end) -> Iterator[TDataItems]:
        check_can_merge(merge)
        yield from load_report(report, context, cursor)

    has_cursor = context.since is None and report.parents is None
    resource = dlt.resource(news if has_cursor else period, name=context.name(report), selected=report.name == "calls")
    declare_load_windows(resource)
    declare_rejected_rows(resource)
    declare_accounts(resource)
    resource.apply_hints(
        table_name=report.name,
        primary_key=key,
        write_disposition=merge,
        merge_key=merge_key,
        **_hints(report, context),
    )
    # The merge joins by the key; if the table is clustered by it, BigQuery reads only the blocks that it needs.
    return bigquery_adapter(
        resource,
        partition=PARTITION_DATE,
        cluster=merge_key or key,
        partition_expiration_days=settings.partition_expiration_days,
    )


def _check_disposition(report: Report) -> None:
    """Checks that the caller has not overridden the merge, once dlt has declared the table for the first rows.

    With `replace` and `append` dlt does not link child rows to their root rows as the merge does.

    Raises:
        ConfigurationError: the report is not merged.
    """
    disposition = dlt.current.source_schema().tables.get(report.name, {}).get("write_disposition", "merge")
    if disposition != "merge":
        raise ConfigurationError(
            f"{report.name}: write_disposition={disposition!r} is not supported, rows are merged by their key. "
            'To load everything again, drop what is there: pipeline.run(source, refresh="drop_resources").'
        )


def load_report(report: Report, context: Context, cursor: Cursor | None) -> Iterator[TDataItems]:
    """Reads a period window by window, as far as it gets: with a `Progress`, an error stops it without failing dlt."""
    if context.progress and context.progress.is_stopped(context.name(report)):
        return  # an error of another resource concerns all
    limit = context.settings.load_package_rows
    if limit and package_rows() >= limit:
        return  # other resources have filled the package; the next one begins with this resource
    try:
        if report.parents:
            yield from _read_by_parents(report, report.parents, context)
        else:
            yield from _read_period(report, context, cursor)
    except ComagicError as error:
        if context.progress is None:
            raise
        context.progress.fail(context.name(report), error, context.new_sync(report))
    context.note_extracted(package_rows())


def _read_period(report: Report, context: Context, cursor: Cursor | None) -> Iterator[TDataItems]:
    """Reads a period window by window, and advances with each that is finished.

    A sync of the period may take several runs. Where it stopped is kept in the resource's state, so that the next run
    resumes there rather than at the period's beginning; the cursor itself never moves back.
    """
    name, settings = context.name(report), context.settings
    context.check_brand(report)
    _check_account(context)
    zone = context.zone()
    progress = context.progress or Progress()
    present, state = context.present or pendulum.now("UTC"), dlt.current.resource_state(name)
    last_value = cursor.last_value if cursor is not None else None
    _warn_if_ahead(name, last_value, present, progress)
    period = plan_period(report, context, zone, state, last_value, present)
    start, end, reached = period.start, period.end, period.reached
    if cursor is not None:
        cursor.advance(None)  # type: ignore[arg-type]  # no filtering: rows are cut to windows here
    yield from _note_account(context)

    fields = context.selected_fields(report)
    loaded_with, checkpoint = LoadedWith(state, name), Checkpoint(state, context.since, context.until)
    loaded_with.check_zone(str(zone), context.since)
    if cursor is not None:
        now = to_local(present, zone)
        progress.warn(loaded_with.describe_changes(settings.start_date, fields, now, settings.lookback_days))
        loaded_with.save(settings.start_date, str(zone), fields)

    parameters = parameter_sets(context.client, report, **context.parameters(report))
    columns = table_columns(dlt.current.source_schema(), report)
    transformer = context.transformer(report, zone, parameters[0] if parameters else (), columns)
    most_rows, redact = settings.load_package_rows or MAX_QUERY_ROWS, transformer.redact_to_json
    shaping = _open_shaping(report, context, zone, parameters)
    share = context.package_share
    own = share if share < (settings.load_package_rows or 0) else None
    reader = WindowReader(context.client, report, fields, zone, most_rows, parameters, redact, shaping, own)
    windows = progress.take_windows(name, period.windows) if parameters else []
    is_bounded = report.period == BY_DAY and context.since is None
    affordable = windows[: affordable_requests(settings.day_requests, context.client) if is_bounded else None]
    planned = replace(
        context.new_sync(report),
        start=start if windows else end,
        end=end,
        position=start,
        planned=len(windows) * len(parameters),
        is_resumed=period.is_resumed,
    )
    progress.plan(name, planned)
    manifest = _open_manifest(report, context)
    loaded = 0
    for part in _in_parts(reader.read(affordable)):
        if not isinstance(part, WindowResult):
            rows = _transformed(part, transformer, manifest)
            note_days(report, rows, context, period.reached, present)
            yield rows
            del rows
            _check_disposition(report)
            continue
        if report.merge_key:  # days are replaced whole
            manifest.add_scope(part.parameters, part.window.start.date(), (part.window.end - SECOND).date())
        noted = (end, cursor is not None, zone, context.present, period.lookback_days)
        yield from _finish_window(part, name, transformer, progress, *noted)
        context.note_extracted(package_rows())
        _note_requested(manifest, report, context)
        context.warn_of_left_out(report)
        loaded += part.loaded
        is_last = part.reached >= end
        instant = to_utc(part.reached, zone)
        if cursor is not None:
            reached = max(reached, instant) if reached else instant
            cursor.advance(reached)
            state[READ_AT_KEY] = pendulum.now("UTC")
        checkpoint.save(None if is_last else instant, period.lookback_days)
        if is_last and cursor is not None:
            Lookbacks(state).save(instant, period.lookback_days)
        if is_last and context.since:
            loaded_with.save_backfill(context.since, end, str(zone))
            forget_days(report, context)
        is_whole = part.reached >= part.window.end  # else the next run would start where this one did
        is_full = loaded >= (share or settings.load_package_rows or 0) or len(manifest.days) >= MAX_DAYS
        if settings.load_package_rows and is_full and is_whole and not is_last:
            progress.leave_windows(name, reader.left)
            return
    progress.pause(name, left=len(windows) - len(affordable))


def _open_shaping(
    report: Report, context: Context, zone: tzinfo, parameters: Sequence[dict[str, Any]]
) -> ShapingProcess | None:
    """A second process for a report; None where it cannot be used.

    It decodes what was read ahead. It knows rows as the API sends them, so not those that get more columns from the
    request. And nothing may come between it and dlt's writer: a step that a user has added gets rows, not their JSON.
    """
    if context.start_process is None or context.settings.concurrency == 1:
        return None
    if parameters != [{}] or not can_shape(report):
        return None
    source = dlt.current.source()
    steps = dlt.current.resource()._pipe.steps[1:]
    has_steps = not all(isinstance(step, IncrementalResourceWrapper) for step in steps)
    has_steps |= any(resource.is_transformer for resource in source.resources.values())
    if has_steps or json._impl_name != "orjson":
        return None
    return ShapingProcess(report, zone, context.privacy(report), context.start_process)


def _read_by_parents(report: Report, parents: Parents, context: Context) -> Iterator[TDataItems]:
    """Reads what the API has about single rows of another report, as many as the run may ask about."""
    context.check_brand(report)
    yield from _note_account(context)
    zone, progress, name = context.zone(), context.progress or Progress(), context.name(report)
    now = to_local(pendulum.now("UTC"), zone)
    window = parents_window(context, now)
    planned = replace(context.new_sync(report), start=window.start, end=window.end, position=window.start)
    progress.plan(name, planned)
    columns = table_columns(dlt.current.source_schema(), report)
    transformer = context.transformer(report, zone, context.parameters(report), columns)
    manifest = _open_manifest(report, context)
    reader = ParentsReader(report, parents, context, zone, dlt.current.resource_state(name))
    for part in _in_parts(reader.read(window, now)):
        if isinstance(part, WindowResult):
            is_incremental, started = context.since is None, context.present
            yield from _finish_window(part, name, transformer, progress, window.end, is_incremental, zone, started)
        else:
            yield _transformed(part, transformer, manifest)
            _check_disposition(report)
    for message in reader.messages():
        progress.report(message)


def _in_parts(read: Iterable[list[Row] | WindowResult]) -> Iterator[list[Row] | WindowResult]:
    """What was read, with each page in parts of `PART_ROWS`."""
    for page in read:
        if isinstance(page, WindowResult):
            yield page
            continue
        for start in range(0, len(page), PART_ROWS):
            yield page[start : start + PART_ROWS]
        del page  # or two pages would be in memory during the next call


def _transformed(rows: Sequence[Row], transformer: RowTransformer, manifest: Manifest) -> list[Any]:
    """Rows of a report for dlt, or their JSON, noted in the manifest."""
    shaped = [row for row in rows if isinstance(row, ShapedRow)]  # those of a page all are, or none
    done: Sequence[Row] = shaped or transformer.transform(rows)
    manifest.add_rows(len(done))
    manifest.add_days({row[PARTITION_DATE] for row in done})
    return [row.json for row in shaped] or [*done]


def _finish_window(
    result: WindowResult,
    name: str,
    transformer: RowTransformer,
    progress: Progress,
    end: datetime,
    is_incremental: bool,
    zone: tzinfo,
    run_started_at: datetime | None = None,
    lookback_days: int | None = None,
) -> Iterator[TDataItems]:
    """Yields what is noted of a window whose rows were handed to dlt, and counts it as read."""
    misfits = transformer.take_misfits()
    yield load_window(result, misfits, end, is_incremental, zone, run_started_at, lookback_days)
    if result.rejected:
        yield rejected_rows(result.rejected, result.resource, result.window, zone)
    progress.finish_window(name, result, misfits)
    progress.warn(transformer.unknown.warnings())


def _open_manifest(resource: Resource, context: Context) -> Manifest:
    """The manifest of a resource's table in the current load package, with what this load does not request."""
    manifest = current_manifest(resource.name)
    _note_requested(manifest, resource, context)
    if context.since is not None:
        manifest.set_rewrites()
    return manifest


def _note_requested(manifest: Manifest, resource: Resource, context: Context) -> None:
    """Notes which columns the load does not request: they keep their values."""
    requested = {field.name for field in flatten(_requested(resource, context))}
    manifest.set_not_requested({field.name for field in flatten(resource.fields.values())} - requested)


def _warn_if_ahead(name: str, last_value: datetime | None, present: datetime, progress: Progress) -> None:
    """Warns of a cursor after the present: the clock of the run that set it was ahead."""
    if last_value is not None and last_value > present:
        progress.warn(
            [
                f"{name}: the clock of an earlier run was ahead: it loaded up to {last_value:{API_TIME}} UTC. This run "
                "reads the lookback before the present time; load older days that are missing with --since."
            ]
        )


def _note_account(context: Context) -> Iterator[TDataItems]:
    """Checks that the dataset is the account's, and yields what the table `accounts` is to have of it."""
    _check_account(context)
    yield from account_row(context.client.account(context.user_id), context.user_id, context.zone())


def _check_account(context: Context) -> None:
    """Checks that the dataset is this account's, by the state of dlt's current source; see `check_account`."""
    check_account(context, dlt.current.source_state().setdefault(ACCOUNTS_KEY, {}))


def check_account(context: Context, known_accounts: MutableMapping[str, Any]) -> None:
    """Checks that the dataset is this account's: its cursors would hide another account's history.

    Args:
        context: what is read with.
        known_accounts: whose data the dataset has, by client of an agency; an account that is new is added.

    Raises:
        ConfigurationError: it has another account's data.
    """
    account = context.client.account(context.user_id)
    if account.app_id is None:  # missing in some responses
        return
    client = context.settings.user_id if context.user_id is None else context.user_id
    present = {"app_id": account.app_id, "user_id": client}
    key = str(context.user_id or "")
    known = known_accounts.setdefault(key, present)
    if known != present:
        raise ConfigurationError(
            f"sources.comagic.credentials: they are of {_describe(present)}, and the dataset has the data of "
            f"{_describe(known)}. Load another account into another dataset: dataset_name in .dlt/config.toml."
        )


def _describe(account: Mapping[str, Any]) -> str:
    client = f", client {account['user_id']}" if account["user_id"] is not None else ""
    return f"account {printable(str(account['app_id']))}{client}"


def dictionary_resource(dictionary: Dictionary, context: Context, read: ReadDictionary | None = None) -> DltResource:
    """Makes the dlt resource of a dictionary: read whole, and replacing what was there.

    Args:
        dictionary: the dictionary.
        context: what it is read with.
        read: its entries, if they were read already.
    """
    parameters = context.parameters(dictionary)

    def rows() -> Iterator[TDataItems]:
        yield from _note_account(context)
        # An error fails the run: nothing read is not the same as no entries, and the table stays as it was.
        found = read or read_whole(dictionary, context, dlt.current.source_schema())
        manifest = _open_manifest(dictionary, context)
        manifest.add_rows(len(found.rows))
        if parameters:
            manifest.add_scope(parameters)
        yield found.rows
        yield from found.finish()
        context.note_extracted(package_rows())

    resource = dlt.resource(
        rows,
        name=context.name(dictionary),
        selected=False,
    )
    declare_load_windows(resource)
    declare_rejected_rows(resource)
    declare_accounts(resource)
    # Not by bigquery_adapter: without a partition or clusters it returns no columns, which dlt takes as "none".
    resource.apply_hints(
        table_name=dictionary.name,
        primary_key=context.key(dictionary),
        # Replaces only this client's rows.
        write_disposition=replace_by_key() if parameters else "replace",
        merge_key=list(parameters) or None,
        **_hints(dictionary, context),
    )
    return resource


def unchanged_resource(unchanged: Iterable[ReadDictionary]) -> DltResource:
    """Makes the dlt resource that notes dictionaries which have not changed; their tables are left alone."""

    def notes() -> Iterator[TDataItems]:
        for one in unchanged:
            yield from _note_account(one.context)
            yield from one.finish()

    resource = dlt.resource(notes, name="unchanged_dictionaries", selected=False)
    declare_load_windows(resource)
    declare_rejected_rows(resource)
    declare_accounts(resource)
    return resource


def _requested(resource: Resource, context: Context) -> list[Field]:
    """The fields that are requested and loaded."""
    privacy = context.privacy(resource)
    return [without_excluded(resource.fields[name], privacy) for name in context.selected_fields(resource)]


def _hints(resource: Resource, context: Context) -> dict[str, Any]:
    """Hints from the catalog: columns, child tables, descriptions."""
    fields = _requested(resource, context)
    client = [USER_ID] if context.parameters(resource) else []
    is_merged = isinstance(resource, Report) or bool(client)
    return {
        "columns": {
            **columns([*client, *fields, *resource.computed.values()], context.key(resource)),
            **describe_columns(ROOT_COLUMNS),
        },
        "nested_hints": {
            field.name: child_table(
                field,
                is_merged,
                resource.computed.get(PARTITION_DATE),
                context.settings.partition_expiration_days if isinstance(resource, Report) else None,
            )
            for field in fields
            if field.type == LIST
        },
        "additional_table_hints": table_description(resource.description),
    }
