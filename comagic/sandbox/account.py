"""A synthetic account: realistic calls, the same in every run, made on request and not stored.

The calls of an hour follow from the seed and the hour alone, and every field of a call from its id, so a page deep in a
history of millions costs no more than the first. Later changes (a tag, a sale, an upload, a removal) are stored
separately.
"""

from collections.abc import Iterator, Sequence
from datetime import date, datetime, timedelta
from functools import lru_cache
from random import Random
from typing import Any

from ..catalog import dictionaries
from .calls import API_TIME, CALLS_PER_HOUR, Call, Entry, call_length, make_call
from .dictionaries import make_entries
from .vocabulary import HOURS, WEEKDAYS

HOUR = timedelta(hours=1)
EPOCH = datetime(2000, 1, 1)
FIRST_ID = 10_000_000_000
UPLOAD_ID = 8_000_000_000_000
BURST_ID = 9_000_000_000_000


class SyntheticAccount:
    """Calls of a company that sells flats, with several sites and campaigns.

    Args:
        seed: another seed is another account.
        name: the account's name.
        timezone: IANA name of the account's time zone; all times of the account are local to it.
        first_day: day of the first calls.
        last_day: day of the last calls; default: calls continue to the present.
        calls_per_day: calls of an average working day.
        bursts: additional calls that start in the same second, as pairs of that second and their number.

    Attributes:
        dictionaries: entries by dictionary; tests may change them. `account` is not among them.
        unrecognized: ids of calls whose recordings were not recognized yet.
    """

    def __init__(
        self,
        seed: int = 1,
        name: str = "ООО «Новые кварталы»",
        timezone: str = "Europe/Moscow",
        first_day: date = date(2024, 1, 1),
        last_day: date | None = None,
        calls_per_day: float = 150,
        bursts: Sequence[tuple[datetime, int]] = (),
    ) -> None:
        self.app_id = 4_200_000 + seed
        self.name = name
        self.timezone = timezone
        self._seed = seed
        self._first_hour = datetime(first_day.year, first_day.month, first_day.day)
        self._end = (
            datetime(last_day.year, last_day.month, last_day.day) + timedelta(days=1)
            if last_day
            else datetime(9999, 1, 1)
        )
        self._calls_per_day = calls_per_day
        self._bursts = sorted(bursts)
        self.dictionaries = {
            name: make_entries(dictionary) for name, dictionary in dictionaries().items() if name != "account"
        }
        self._patches: dict[int, Call] = {}
        self._uploads: dict[int, datetime] = {}
        self._uploaded_at: dict[int, datetime] = {}
        self._removed: set[int] = set()
        self.unrecognized: set[int] = set()
        self._hour_entries = lru_cache(maxsize=5_000)(self._make_entries)

    def calls(
        self,
        start: datetime,
        end: datetime,
        now: datetime,
        ongoing: bool = False,
        offset: int = 0,
        limit: int | None = None,
    ) -> Iterator[Call]:
        """Calls by start time, from `start` up to, not including, `end`.

        Args:
            start: first second, in local time.
            end: the second after the last, in local time.
            now: the present, in local time; later calls do not exist.
            ongoing: include calls that have not ended; their `finish_time` is null.
            offset: calls to skip; they are not made.
            limit: calls to make at most.
        """
        for entries in self._hours(start, end, now, ongoing):
            if offset >= len(entries):
                offset -= len(entries)
                continue
            for entry in entries[offset:]:
                if limit is not None and limit <= 0:
                    return
                limit = None if limit is None else limit - 1
                yield self.call(entry, now)
            offset = 0

    def count(self, start: datetime, end: datetime, now: datetime, ongoing: bool = False) -> int:
        """Number of calls that `calls` yields without offset and limit."""
        return sum(len(entries) for entries in self._hours(start, end, now, ongoing))

    def call(self, entry: Entry, now: datetime) -> Call:
        """All 105 fields of a call, with later changes.

        Args:
            entry: start and id of the call.
            now: the present, in local time.
        """
        call = make_call(entry, self._seed)
        call.update(self._patches.get(entry[1], {}))
        if call["finish_time"] is not None and call["finish_time"] > now.strftime(API_TIME):
            call["finish_time"] = None
        return call

    def find(self, call_id: int) -> Entry | None:
        """Start and id of a call; None if there is no such call."""
        hour = self._uploads.get(call_id)
        if hour is None and FIRST_ID <= call_id < UPLOAD_ID:
            hour = EPOCH + (call_id - FIRST_ID) // CALLS_PER_HOUR * HOUR
        entries = self._hour_entries(hour.replace(minute=0, second=0)) if hour else []
        return next((entry for entry in entries if entry[1] == call_id), None)

    def change(self, call_id: int, **changes: Any) -> None:
        """Changes fields of a call: tags, a sale, a rating."""
        self._patches.setdefault(call_id, {}).update(changes)

    def upload(self, start: datetime, uploaded_at: datetime | None = None, **fields: Any) -> int:
        """Adds a call with any past start, as the API's `upload.calls` does; returns its id.

        Args:
            start: the call's start, in local time.
            uploaded_at: when it was uploaded, in local time; default: as it began.
            **fields: what else it has.
        """
        call_id = UPLOAD_ID + len(self._uploads)
        self._uploads[call_id] = start
        self._uploaded_at[call_id] = uploaded_at or start
        self.change(call_id, source="upload_calls", **fields)
        self._hour_entries.cache_clear()
        return call_id

    def uploads(self, start: datetime, end: datetime) -> Iterator[tuple[datetime, Call]]:
        """Calls that were uploaded from `start` up to, not including, `end`, with the time of the upload."""
        for call_id, at in sorted(self._uploaded_at.items()):
            if start <= at < end and call_id not in self._removed:
                yield at, self.call((self._uploads[call_id], call_id), datetime(9999, 1, 1))

    def remove(self, call_id: int) -> None:
        """Removes a call."""
        self._removed.add(call_id)
        self._hour_entries.cache_clear()

    def _hours(self, start: datetime, end: datetime, now: datetime, ongoing: bool) -> Iterator[Sequence[Entry]]:
        end = min(end, self._end, now + timedelta(seconds=1))
        hour = start.replace(minute=0, second=0, microsecond=0)
        while hour < end:
            entries: Sequence[Entry] = self._hour_entries(hour)
            if hour < start or hour + HOUR > end:
                entries = [entry for entry in entries if start <= entry[0] < end]
            if not ongoing and hour + 2 * HOUR > now:
                entries = [
                    entry for entry in entries if entry[0] + timedelta(seconds=call_length(entry[1], self._seed)) <= now
                ]
            yield entries
            hour += HOUR

    def _make_entries(self, hour: datetime) -> list[Entry]:
        entries: list[Entry] = []
        if self._first_hour <= hour < self._end:
            random = Random(f"{self._seed} {hour}")  # noqa: S311  (reproducible on purpose)
            expected = self._calls_per_day * HOURS[hour.hour] * WEEKDAYS[hour.weekday()]
            first_id = FIRST_ID + int((hour - EPOCH).total_seconds()) // 3600 * CALLS_PER_HOUR
            seconds = sorted(
                random.randrange(3600) for _ in range(min(int(expected + random.random()), CALLS_PER_HOUR))
            )
            entries += [(hour + timedelta(seconds=second), first_id + index) for index, second in enumerate(seconds)]
        for index, (moment, size) in enumerate(self._bursts):
            if hour <= moment < hour + HOUR:
                entries += [(moment, BURST_ID + index * 10_000_000 + nth) for nth in range(size)]
        entries += [(moment, call_id) for call_id, moment in self._uploads.items() if hour <= moment < hour + HOUR]
        return sorted(entry for entry in entries if entry[1] not in self._removed)
