"""The loop of load packages: a load yields one bounded dlt source after another, until its period is loaded."""

import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

import dlt
import pendulum
from dlt import Pipeline, Schema
from dlt.extract import DltSource

from ..api.client import DataApiClient
from ..catalog import BY_DAY, BY_PARENT, Dictionary, Report, Resource, resources
from ..exceptions import CONCERNS_ALL, ComagicError, IncompleteError
from ..extract.context import Context, list_clients, resources_for_client
from ..extract.dictionary import CONTENT_KEY, READ_AT_KEY, ReadDictionary, read_whole
from ..extract.period import expected_windows
from ..extract.progress import Progress
from ..extract.rereads import reread_contexts
from ..extract.resources import SOURCE_NAME, make_source
from ..extract.schema import flatten
from ..settings import Settings
from .destinations import BIGQUERY, default_package_rows, limit_memory
from .dlt_settings import configured
from .lease import hold_dataset, patience
from .merge import guard_merges
from .normalizing import can_use_workers, choose_workers, several_workers, start_process
from .packages import finishing_seconds, row_counts, undocumented_columns
from .preflight import check_destination, check_tables
from .repair import restore_missing
from .shape import check_shape, stored_schema
from .views import CreatedViews, refresh_views
from .workdir import exclusive_run, finish_interrupted, reset_if_moved

PIPELINE = "comagic"
"""Name of the pipeline, literal in the script, where `dlt deploy` reads it."""

LAST = {BY_DAY: 1, BY_PARENT: 2}
"""Reports that come after all others, and in which order, since they take many requests."""

NEVER = datetime.min.replace(tzinfo=UTC)

DELETE_COMPLETED, TRUNCATE_STAGING = "load.delete_completed_jobs", "load.truncate_staging_dataset"
ITEM_MODE = "extract.next_item_mode"
"""dlt's settings."""

Part = tuple[Context, Sequence[Resource]]
"""The resources of one account, or of one client of an agency."""


@dataclass
class Load:
    """One load: what is to be loaded, and what was. Give each of its `sources` to `pipeline.run`.

    Args:
        settings: the settings.
        client: the API's client.
        names: names of the resources to load.
        progress: the progress to update.
        since: local time of the account at which to start, instead of the cursor.
        until: local time before which to end; None for now.
        destination: name of the destination; None for the configured one.
        staging: URL of a bucket to load through; None for the configured one.
        pipeline_name: name of the pipeline that is given to `sources`.
        wait_minutes: how long to wait for another load into the dataset to end.

    Attributes:
        tables: rows loaded so far by table.
        new_columns: columns that the API sent although the catalog does not have them.
        place: where the rows are.
        seconds: how long the load took.
        billed_bytes: bytes that the destination billed; None where it does not report any.
        views: what became of the views; None if they were not created.
    """

    settings: Settings
    client: DataApiClient
    names: Sequence[str]
    progress: Progress = field(default_factory=Progress)
    since: datetime | None = None
    until: datetime | None = None
    destination: str | None = None
    staging: str | None = None
    pipeline_name: str = PIPELINE
    wait_minutes: float = 0.0
    tables: Counter[str] = field(default_factory=Counter, init=False)
    new_columns: list[str] = field(default_factory=list, init=False)
    place: str = field(default="", init=False)
    seconds: float = field(default=0.0, init=False)
    billed_bytes: int | None = field(default=None, init=False)
    views: CreatedViews | None = field(default=None, init=False)
    _stack: ExitStack = field(default_factory=ExitStack, init=False)
    _wait: Callable[[], bool] = field(init=False)
    _folder: str = field(default="", init=False)
    _stored: Schema | None = field(default=None, init=False)

    def sources(self, pipeline: Pipeline) -> Iterator[DltSource]:
        """Yields the sources to run, a load package each; a sync resumes where its last package ended.

        A `Load` is a context manager; its `with` block keeps other runs out: of the working folder from its beginning,
        of the dataset from here on.

        Raises:
            BusyError: another load into the dataset is active.
            ConfigurationError: the destination does not fit what is to be loaded.
            ApiError: the clients of an agency cannot be listed.
        """
        if pipeline.pipeline_name != self.pipeline_name:
            raise RuntimeError(f"The load is for the pipeline {self.pipeline_name}, not {pipeline.pipeline_name}.")
        started = time.monotonic()
        pipeline.runtime_config.intercept_signals = False  # a signal ends the run at once; the next run resumes
        pipeline.collector = self.progress.collector
        settings: dict[str, Any] = {
            # or staged rows stay until the next load; BigQuery's staging tables are deleted anyway
            TRUNCATE_STAGING: pipeline.destination.destination_type != BIGQUERY,
            ITEM_MODE: "fifo",  # one resource after another, in the order of `_sources`
        }
        if dlt.config.get(DELETE_COMPLETED) is None:
            settings[DELETE_COMPLETED] = True  # or dlt keeps a copy of all rows in its working folder
        self._stack.enter_context(configured(settings))
        chosen = [resources()[name] for name in self.names]
        check_destination(pipeline.destination, pipeline.dataset_name)
        lease = hold_dataset(pipeline.destination, pipeline.dataset_name, self._wait, self._folder)
        guard = guard_merges(pipeline.destination, self._stack.enter_context(lease))
        self._stack.enter_context(guard)
        stored = self._stored = stored_schema(pipeline.destination, pipeline.dataset_name)
        check_shape(stored, pipeline.dataset_name)
        check_tables(pipeline.destination, pipeline.dataset_name, stored, chosen, bool(self.settings.user_ids))
        reset_if_moved(pipeline)
        has_workers = can_use_workers()
        if has_workers:
            self._stack.enter_context(several_workers())
        if self.settings.load_package_rows is None:
            self.settings = self.settings.copy()
            self.settings.load_package_rows = default_package_rows(pipeline.destination, has_workers)
        limit_memory(pipeline.destination, self._widest(stored, chosen), self.settings.load_package_rows)
        self.progress.warn(
            restore_missing(pipeline, stored, self.settings.start_date, self.progress.report, self.needed_tables)
        )
        finish_interrupted(pipeline, self.progress.report)
        clients = list_clients(self.client, self.settings)
        present = pendulum.now("UTC")  # or the end of the period would move while it is read ahead
        parts: list[Part] = [
            (
                Context(
                    self.settings,
                    self.client,
                    self.since,
                    self.until,
                    user_id,
                    self.progress,
                    present=present,
                    on_extracted=choose_workers if has_workers else None,
                    start_process=start_process if has_workers else None,
                ),
                resources_for_client(chosen, user_id, clients),
            )
            for user_id in clients
        ]
        self._expect(pipeline, parts)
        for source in self._sources(pipeline, parts):
            yield source
            self._add_package(pipeline)
        if self.settings.views:
            self.views = refresh_views(pipeline.destination, pipeline.dataset_name, self.settings)
        self.seconds = time.monotonic() - started
        bill: Any = getattr(pipeline.destination, "bill", None)
        self.billed_bytes = bill.bytes if bill else None

    @property
    def needed_tables(self) -> Collection[str] | None:
        """Tables that are created again if they were dropped; None for all."""
        return None

    @property
    def optional_resources(self) -> Collection[str]:
        """Names of resources that the account may do without; see `Context.optional_resources`."""
        return Context(self.settings, self.client).optional_resources()

    def raise_error(self) -> None:
        """Raises what stopped the load, or resources of it that are not optional; what was read before is loaded.

        Raises:
            ComagicError: the error; `IncompleteError` for several, or for rejected rows.
        """
        errors = self.progress.errors(self.optional_resources)
        messages = [str(error) for error in errors]
        for name, sync in self.progress.syncs.items():
            if sync.rejected:
                messages.append(f"{name}: {sync.rejected} rows without a key or time are in the table rejected_rows.")
        if errors and (len(messages) == 1 or isinstance(errors[0], CONCERNS_ALL)):
            raise errors[0]
        if messages:
            raise IncompleteError(" ".join(messages))

    def _widest(self, stored: Schema | None, chosen: Iterable[Resource]) -> int:
        """Columns of the widest table of the load."""
        context = Context(self.settings, self.client)
        loaded = [len(table["columns"]) for table in stored.data_tables()] if stored else []
        requested = [
            len(list(flatten(resource.fields[name] for name in context.selected_fields(resource))))
            for resource in chosen
        ]
        return max(loaded + requested, default=0)

    def _expect(self, pipeline: Pipeline, parts: Iterable[Part]) -> None:
        """Counts what there is to read for the progress, from the cursors in dlt's state."""
        if pipeline.config.restore_from_destination:
            pipeline.sync_destination()
            pipeline._state_restored = True  # or the first run would query it again (dlt 1.31)
        state = pipeline.state.get("sources", {}).get(SOURCE_NAME, {})
        self.progress.expect(
            {
                context.name(resource): expected_windows(resource, context, state)
                for context, own in parts
                for resource in own
            }
        )

    def _sources(self, pipeline: Pipeline, parts: Sequence[Part]) -> Iterator[DltSource]:
        """A source for each load package: of all reports, then of all dictionaries, or the other way round.

        What was read longest ago comes first, so that a run with a time limit does not leave out the same each night.
        """
        state = pipeline.state.get("sources", {}).get(SOURCE_NAME, {}).get("resources", {})

        def last_read(one: tuple[Context, Resource]) -> datetime:
            read_at: datetime = state.get(one[0].name(one[1]), {}).get(READ_AT_KEY) or NEVER
            return read_at

        chosen = sorted(((context, resource) for context, own in parts for resource in own), key=last_read)
        reports = [(context, one) for context, one in chosen if isinstance(one, Report)]
        reports.sort(key=lambda one: LAST.get(one[1].period, 0))
        dictionaries = [one for one in chosen if isinstance(one[1], Dictionary)]
        if dictionaries and (not reports or last_read(dictionaries[0]) < last_read(reports[0])):
            yield from self._dictionary_source(dictionaries, state)
            yield from self._report_sources(reports)
        else:
            yield from self._report_sources(reports)
            yield from self._dictionary_source(dictionaries, state)
        if self.since is None:
            yield from self._reread_sources(pipeline, reports)

    def _reread_sources(self, pipeline: Pipeline, reports: Sequence[tuple[Context, Report]]) -> Iterator[DltSource]:
        """Packages of days that have changed although no lookback reaches them."""
        state = pipeline.state.get("sources", {}).get(SOURCE_NAME, {})
        for context, report in reports:
            for again in reread_contexts(report, context, state):
                yield from self._report_sources([(again, report)])

    def _report_sources(self, reports: Sequence[tuple[Context, Report]]) -> Iterator[DltSource]:
        """Packages with a share for each report that is not complete, until all are."""
        while left := [one for one in reports if not self.progress.is_done(one[0].name(one[1]))]:
            # what the last package had no room for comes first
            left.sort(key=lambda one: one[0].name(one[1]) in self.progress.syncs)
            share = -(-(self.settings.load_package_rows or 0) // len(left))
            parts = [(replace(context, package_share=share), [report]) for context, report in left]
            yield make_source(parts).with_resources(*(context.name(report) for context, report in left))

    def _dictionary_source(
        self, dictionaries: Sequence[tuple[Context, Resource]], state: Mapping[str, Any]
    ) -> Iterator[DltSource]:
        """One package of all dictionaries that could be read."""
        read: dict[str, ReadDictionary] = {}
        for context, dictionary in dictionaries:
            name = context.name(dictionary)
            if isinstance(dictionary, Dictionary) and not self.progress.is_stopped(name):
                found = self._read(dictionary, context)
                if found is not None:
                    same = found.content == state.get(name, {}).get(CONTENT_KEY)
                    read[name] = replace(found, has_changed=not same)
        if read:
            changed = [one for one in read.values() if one.has_changed]
            source = make_source([(one.context, [one.dictionary]) for one in changed], read)
            yield source.with_resources(*source.resources)

    def _read(self, dictionary: Dictionary, context: Context) -> ReadDictionary | None:
        """A dictionary; None if it cannot be read whole, so that its table stays as it was."""
        name, sync = context.name(dictionary), context.new_sync(dictionary)
        self.progress.plan(name, sync)
        try:
            return read_whole(dictionary, context, self._stored)
        except ComagicError as error:
            self.progress.fail(name, error, sync)
            return None

    def _add_package(self, pipeline: Pipeline) -> None:
        """Adds what the last load package brought, and reserves time for loading the next."""
        info = pipeline.last_trace and pipeline.last_trace.last_load_info
        if not info:
            raise RuntimeError("Give each source to pipeline.run before asking for the next.")
        info.raise_on_failed_jobs()
        self.tables += row_counts(pipeline)
        self.new_columns += undocumented_columns(info)
        self.place = f"{info.destination_displayable_credentials}, dataset {info.dataset_name}"
        self.client.deadline.reserve(finishing_seconds(pipeline))

    def __enter__(self) -> "Load":
        self._wait = patience(self.wait_minutes)
        running = exclusive_run(self.pipeline_name, self._wait, self.progress.report)
        self._folder = self._stack.enter_context(running)
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()
