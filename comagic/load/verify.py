"""Verifies what was loaded against the API, and repairs what differs; the loop over reports and clients."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from dlt import Schema
from dlt.common.destination.exceptions import DestinationUndefinedEntity
from dlt.pipeline.state_sync import load_pipeline_state_from_destination

from ..api.client import DataApiClient
from ..catalog import Report, resources
from ..exceptions import CONCERNS_ALL, UNAVAILABLE, BusyError, ComagicError, ConfigurationError, UnreachableError
from ..extract.changed_settings import LoadedWith
from ..extract.context import Context, list_clients, resources_for_client
from ..extract.load_windows import TABLE as LOAD_WINDOWS
from ..extract.resources import ACCOUNTS_KEY, SOURCE_NAME, check_account
from ..settings import Settings
from .bounds import DAY
from .destinations import BIGQUERY, DUCKDB, POSTGRES, AnyDestination, limit_memory, open_client
from .lease import hold_dataset, patience
from .loaded_rows import LoadedRows, existing_columns
from .preflight import check_tables
from .runner import Load
from .shape import check_shape, stored_schema
from .verifications import NotedVerification, verification_row
from .verified_report import ReportVerification, why_not
from .verified_windows import midnight, runs
from .verify_results import ReportResult

LOADED = "SELECT DISTINCT resource FROM {load_windows} ORDER BY 1"

NOTE_MINUTES = 1.0
"""How long the result waits for a load to end before it is not kept in the table."""

PROVEN = (DUCKDB, BIGQUERY, POSTGRES)


@dataclass
class Verification:
    """One run of `verify`.

    Args:
        settings: the settings.
        client: the API's client.
        destination: the destination.
        dataset_name: the dataset.
        run: gives the sources of a load to a pipeline.
        pipeline_name: name of the pipeline that loads into the dataset.
        destination_name: name of the destination for `run`; None for the configured one.
        names: names of the resources; none for all that were loaded.
        since: local time of the account at which to start; None for all that was loaded.
        until: local time before which to end; None for the last day that was over when it was loaded.
        is_deep: whether to compare all values.
        repairs: whether to load days again that differ.
        deletes: whether to delete rows that the API does not have.
        report: takes a message about the progress.

    Attributes:
        results: what was found, by report and client.
        not_verified: what cannot be verified, and why.
        failed: names in `not_verified` that the account should have.
        is_noted: whether the result is in the table `verifications`.
        error: what stopped the run.
    """

    settings: Settings
    client: DataApiClient
    destination: AnyDestination
    dataset_name: str
    run: Callable[[Load], None]
    pipeline_name: str
    destination_name: str | None = None
    names: Sequence[str] = ()
    since: datetime | None = None
    until: datetime | None = None
    is_deep: bool = False
    repairs: bool = False
    deletes: bool = False
    report: Callable[[str], None] = lambda _: None
    results: list[ReportResult] = field(default_factory=list, init=False)
    not_verified: dict[str, str] = field(default_factory=dict, init=False)
    failed: list[str] = field(default_factory=list, init=False)
    is_noted: bool = field(default=False, init=False)
    error: ComagicError | None = field(default=None, init=False)

    @property
    def agrees(self) -> bool:
        """True if all that was to be verified was, and agrees."""
        return self.error is None and not self.failed and all(result.agrees for result in self.results)

    def verify(self) -> None:
        """Compares, repairs, compares again, and notes the result in the dataset.

        Raises:
            BusyError: it is to change the dataset, and a load into it is active.
            ConfigurationError: the dataset is another account's, or cannot be verified.
            ComagicError: nothing was loaded yet.
        """
        if self.destination.destination_type not in PROVEN:
            raise ConfigurationError(
                f"verify works with duckdb, postgres and bigquery, not with {self.destination.destination_name}."
            )
        schema = stored_schema(self.destination, self.dataset_name)
        if schema is None:
            raise ComagicError("Nothing has been loaded yet, so there is nothing to verify.")
        check_shape(schema, self.dataset_name)
        limit_memory(self.destination, max(len(table["columns"]) for table in schema.data_tables()))
        chosen = self._choose(schema)
        check_tables(self.destination, self.dataset_name, schema, chosen, bool(self.settings.user_ids))
        if self.repairs or self.deletes:
            with hold_dataset(self.destination, self.dataset_name, patience(0)):
                pass  # a load that is active ends the run before its first request
        self._verify_all(chosen, schema)
        self._note()

    def _choose(self, schema: Schema) -> list[Report]:
        """The reports to verify; what cannot be verified is noted.

        Raises:
            ConfigurationError: none of what was asked for can be verified.
        """
        loaded = self._loaded_names(schema)
        names = self.names or loaded
        chosen = []
        for resource in (resources()[name] for name in names if name in resources()):
            if reason := why_not(resource):
                self.not_verified[resource.name] = reason
            elif resource.name not in loaded and self.since is None:
                self.not_verified[resource.name] = "it was never loaded"
            elif isinstance(resource, Report):
                chosen.append(resource)
        if not chosen:
            reasons = "; ".join(f"{name}: {reason}" for name, reason in self.not_verified.items())
            raise ConfigurationError(f"--resource: nothing of this can be verified. {reasons or 'Nothing was loaded'}.")
        return chosen

    def _loaded_names(self, schema: Schema) -> list[str]:
        with open_client(self.destination, self.dataset_name, schema) as client:
            sql = client.sql_client
            found = sql.execute_sql(LOADED.format(load_windows=sql.make_qualified_table_name(LOAD_WINDOWS)))
        return [name for (name,) in found or ()]

    def _verify_all(self, chosen: Sequence[Report], schema: Schema) -> None:
        """Verifies each report of each client; an error that concerns all stops the run, and is kept."""
        state = self._state(schema)
        try:
            clients = list_clients(self.client, self.settings)
            for user_id in clients:
                context = Context(self.settings, self.client, user_id=user_id)
                for report in resources_for_client(chosen, user_id, clients):
                    if isinstance(report, Report):
                        self._verify_or_note(report, context, schema, state)
        except ComagicError as error:
            self.error = error

    def _verify_or_note(self, report: Report, context: Context, schema: Schema, state: Mapping[str, Any]) -> None:
        """Verifies a report; an error of it alone is noted.

        Raises:
            ComagicError: an error that concerns all.
        """
        result: ReportResult | None = None
        name = context.name(report)
        try:
            context.check_brand(report)
            zone = context.zone()
            check_account(context, dict(state.get(ACCOUNTS_KEY, {})))
            own = state.get("resources", {}).get(name, {})
            LoadedWith(own, name).check_zone(str(zone), None)
            existing = existing_columns(self.destination, self.dataset_name, schema, report)
            rows = LoadedRows(self.destination, self.dataset_name, schema, report, zone, context.user_id, existing)
            verification = ReportVerification(report, context, rows, self.is_deep, self.deletes)
            result = verification.result
            self.results.append(result)
            self.report(f"{result.name}: comparing {'all values' if self.is_deep else 'counts'} ...")
            verification.verify(self.since, self.until)
            self._change(verification)
        except UNAVAILABLE as error:
            self.results = [one for one in self.results if one is not result]
            self.not_verified[name] = str(error)
            if report.name not in context.optional_resources():
                self.failed.append(name)
        except ComagicError as error:
            if result is None:
                result = ReportResult(report.name, context.user_id, self.is_deep)
                self.results.append(result)
            result.error = error
            if isinstance(error, CONCERNS_ALL) or error.is_early_stop or self._is_down():
                raise

    def _is_down(self) -> bool:
        """True if the API could not be reached for two reports: then it is not one report's problem."""
        return sum(isinstance(result.error, UnreachableError) for result in self.results) > 1

    def _change(self, verification: ReportVerification) -> None:
        """Loads and deletes what is to be, and compares the days again."""
        result = verification.result
        days = [day.day for day in result.differing if day.is_repairable] if self.repairs else []
        if days:
            # a row may have moved from one of these to another
            touched = [day.day for day in result.differing if not result.is_expired(day.day)]
            for first, last in runs(days):
                self.report(f"{result.name}: loading {first} .. {last} again ...")
                with verification.counting_requests():
                    self._load(verification, midnight(first), midnight(last) + DAY)
                result.repaired += [day for day in days if first <= day <= last]
            self._refresh(verification)
            verification.compare_again(touched)
        if self.deletes:
            changed = []
            for day in filter(verification.may_delete, result.differing):
                with hold_dataset(self.destination, self.dataset_name, patience(NOTE_MINUTES)):
                    if verification.delete_extra(day):
                        changed.append(day.day)
            verification.compare_again(changed)

    def _load(self, verification: ReportVerification, since: datetime, until: datetime) -> None:
        settings = self.settings.copy()
        if verification.context.user_id is not None:
            settings.user_ids = (verification.context.user_id,)
        plan = Load(
            settings,
            self.client,
            [verification.report.name],
            since=since,
            until=until,
            destination=self.destination_name,
            pipeline_name=self.pipeline_name,
            wait_minutes=NOTE_MINUTES,
        )
        with plan:
            self.run(plan)
        for warning in plan.progress.warnings:
            self.report(warning)
        plan.raise_error()

    def _refresh(self, verification: ReportVerification) -> None:
        """Takes tables and columns in that a load has created."""
        schema = stored_schema(self.destination, self.dataset_name)
        if schema is not None:
            existing = existing_columns(self.destination, self.dataset_name, schema, verification.report)
            verification.refresh(schema, existing)

    def _note(self) -> None:
        """Adds the result to the table `verifications`, unless a load keeps the dataset for longer than it waits."""
        if not self.results:
            return
        settings = self.settings.copy()
        settings.user_ids = ()
        noted = NotedVerification(
            settings,
            self.client,
            [],
            destination=self.destination_name,
            pipeline_name=self.pipeline_name,
            wait_minutes=NOTE_MINUTES,
            rows=[verification_row(result) for result in self.results],
        )
        try:
            with noted:
                self.run(noted)
            self.is_noted = True
        except BusyError as error:
            self.report(f"The result is not in the table verifications. {error}")

    def _state(self, schema: Schema) -> Mapping[str, Any]:
        """The source's state as the last load has stored it in the destination; empty if there is none."""
        with open_client(self.destination, self.dataset_name, schema) as client:
            try:
                state = load_pipeline_state_from_destination(self.pipeline_name, client)
            except DestinationUndefinedEntity:
                return {}
        found: Mapping[str, Any] = (state or {}).get("sources", {}).get(SOURCE_NAME, {})
        return found
