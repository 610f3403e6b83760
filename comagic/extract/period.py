"""The period of a report that a run is going to read: worked out from the settings and from dlt's state."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo
from typing import Any

import pendulum

from ..catalog import BY_DAY, BY_FILTER, BY_PARENT, DAY, Report, Resource
from ..values import parse_time_zone
from .changed_settings import LoadedWith
from .checkpoint import Checkpoint, Lookbacks
from .context import Context
from .windows import Window, day_start, plan_windows, to_local


@dataclass(frozen=True)
class Period:
    """The period of a report that a run is going to read.

    Attributes:
        start: local time at which it starts.
        end: local time before which it ends.
        windows: the period as adjacent windows; none if there is nothing to read.
        reached: the instant up to which earlier runs have come; None if there were none, or with `since`.
        is_resumed: whether it starts where an earlier run stopped.
        lookback_days: the lookback that the sync began with.
    """

    start: datetime
    end: datetime
    windows: Sequence[Window]
    reached: datetime | None
    is_resumed: bool
    lookback_days: int


def plan_period(
    report: Report,
    context: Context,
    zone: tzinfo,
    state: dict[str, Any],
    last_value: datetime | None,
    present: datetime,
) -> Period:
    """Works out what to read: from where a sync stopped, or from `since`, or from the lookback before the cursor.

    Args:
        report: the report.
        context: what it is read with.
        zone: the account's time zone.
        state: dlt's state of the resource.
        last_value: the cursor, an instant; None if it has none yet, or with `since`.
        present: the present instant.
    """
    settings = context.settings
    now = to_local(present, zone)
    end = min(context.until, now) if context.until else now
    checkpoint, lookback_days = Checkpoint(state, context.since, context.until), settings.lookback_days
    stopped_at, begun_with = checkpoint.stopped_at, checkpoint.lookback_days or lookback_days
    if begun_with < lookback_days and not context.since:
        stopped_at = None  # it would end without what this run has to read again
    # The present at most: an earlier run's clock may have been ahead.
    reached = min(last_value, present) if last_value else None
    if stopped_at:
        start, lookback_days = min(to_local(stopped_at, zone), end), begun_with
    elif context.since or reached is None:
        own_start = settings.day_start_date if report.period == BY_DAY else None
        start = context.since or own_start or settings.start_date
    else:
        counted_from = Lookbacks(state).start(reached, lookback_days)
        start = day_start(to_local(counted_from, zone) - timedelta(days=lookback_days))
    if settings.partition_expiration_days:  # BigQuery would drop earlier days as they are loaded
        start = min(max(start, day_start(now - timedelta(days=settings.partition_expiration_days - 1))), end)
    if report.cursor_field.type == DAY:
        start = day_start(start)
    # A filter may cover any period, and its rows are few; a window with too many is split.
    days = report.longest_period_days if report.period == BY_FILTER else settings.window_days
    windows = plan_windows(start, end, days, report.longest_period_days)
    return Period(start, end, windows, reached, stopped_at is not None, lookback_days)


def expected_windows(resource: Resource, context: Context, state: Mapping[str, Any]) -> int:
    """How many windows of a resource a load is going to read, without a request to the API; 1 for a dictionary.

    At least 1: a resource that is still to be read must count. It can differ from what is planned later: by one window
    in a first load, which does not know the account's time zone before its first request, and where a report is read
    once for each site.

    Args:
        resource: the report or dictionary.
        context: what it is read with.
        state: dlt's state of the source.
    """
    if not isinstance(resource, Report) or resource.period == BY_PARENT:
        return 1
    name = context.name(resource)
    own = state.get("resources", {}).get(name, {})
    zone = context.settings.timezone or parse_time_zone(name, LoadedWith(own, name).timezone or "UTC")
    cursor = {} if context.since else own.get("incremental", {}).get(resource.cursor, {})
    period = plan_period(resource, context, zone, own, cursor.get("last_value"), pendulum.now("UTC"))
    return max(len(period.windows), 1)
