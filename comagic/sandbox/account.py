"""A synthetic account: calls that look real, the same every time, made when asked for and not kept.

The calls of an hour follow from the seed and the hour alone, and every field of a call from its id, so a page deep in a
history of millions costs no more than the first. What changed after the fact (a tag, a sale, an upload, a removal) is
kept beside as exceptions.
"""

from datetime import date, datetime, timedelta
from functools import lru_cache
from random import Random
from typing import Any, Dict, Iterator, List, Optional, Sequence, Set, Tuple

from .dictionaries import MAKERS, make_entries
from .vocabulary import (
    CAMPAIGN_OF,
    CAMPAIGNS,
    DEVICES,
    EMPLOYEES,
    HOURS,
    PAGES,
    REGIONS,
    SCENARIOS,
    SEGMENTS,
    SITES,
    TAGGER,
    TAGS,
    WEEKDAYS,
    extension,
)

HOUR = timedelta(hours=1)
API_TIME = "%Y-%m-%d %H:%M:%S"
EPOCH = datetime(2000, 1, 1)
FIRST_ID = 10_000_000_000
CALLS_AN_HOUR = 100_000
BURST_ID = 9_000_000_000_000
UPLOAD_ID = 8_000_000_000_000
MIX = 0x9E3779B97F4A7C15
WORD = (1 << 64) - 1

Call = Dict[str, Any]
Entry = Tuple[datetime, int]
"""Start and id of a call: all that is needed to make it."""


class SyntheticAccount:
    """Calls of a company that sells flats, with several sites and campaigns.

    Args:
        seed: another seed is another account.
        name: the account's name.
        timezone: IANA name of the account's zone.
        first_day: day of the first calls.
        last_day: day of the last calls; default: calls go on to the present.
        calls_per_day: calls of an average working day.
        bursts: further calls, so many in one second, as pairs of that second and their number.

    Attributes:
        dictionaries: entries by dictionary, to be changed at will.
    """

    def __init__(
        self,
        seed: int = 1,
        name: str = "ООО «Новые кварталы»",
        timezone: str = "Europe/Moscow",
        first_day: date = date(2024, 1, 1),
        last_day: Optional[date] = None,
        calls_per_day: float = 150,
        bursts: Sequence[Tuple[datetime, int]] = (),
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
        self.dictionaries = {name: make_entries(name) for name in MAKERS}
        self._patches: Dict[int, Call] = {}
        self._uploads: Dict[int, datetime] = {}
        self._removed: Set[int] = set()
        self._entries_of = lru_cache(maxsize=5_000)(self._make_entries)

    def calls(
        self,
        start: datetime,
        end: datetime,
        now: datetime,
        ongoing: bool = False,
        offset: int = 0,
        limit: Optional[int] = None,
    ) -> Iterator[Call]:
        """Calls by start time, from `start` up to, not including, `end`.

        Args:
            start: first wall time.
            end: wall time after the last.
            now: the present; later calls do not exist, and those that have not ended are left out
            ongoing: unless this is set; they come without a `finish_time` then.
            offset: calls to skip, which costs next to nothing.
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
        """All 105 fields of a call."""
        call = make_call(entry, self._seed)
        call.update(self._patches.get(entry[1], {}))
        if call["finish_time"] is not None and call["finish_time"] > now.strftime(API_TIME):
            call["finish_time"] = None
        return call

    def change(self, call_id: int, **changes: Any) -> None:
        """Sets fields of a call from now on: tags, a sale, a rating."""
        self._patches.setdefault(call_id, {}).update(changes)

    def upload(self, start: datetime, **fields: Any) -> int:
        """Adds a call, as `upload.calls` does, with any past start; returns its id."""
        call_id = UPLOAD_ID + len(self._uploads)
        self._uploads[call_id] = start
        self.change(call_id, source="upload_calls", **fields)
        self._entries_of.cache_clear()
        return call_id

    def remove(self, call_id: int) -> None:
        """Removes a call."""
        self._removed.add(call_id)
        self._entries_of.cache_clear()

    def _hours(self, start: datetime, end: datetime, now: datetime, ongoing: bool) -> Iterator[Sequence[Entry]]:
        end = min(end, self._end, now + timedelta(seconds=1))
        hour = start.replace(minute=0, second=0, microsecond=0)
        while hour < end:
            entries: Sequence[Entry] = self._entries_of(hour)
            if hour < start or hour + HOUR > end:
                entries = [entry for entry in entries if start <= entry[0] < end]
            if not ongoing and hour + 2 * HOUR > now:
                entries = [
                    entry for entry in entries if entry[0] + timedelta(seconds=_length(entry[1], self._seed)) <= now
                ]
            yield entries
            hour += HOUR

    def _make_entries(self, hour: datetime) -> List[Entry]:
        entries: List[Entry] = []
        if self._first_hour <= hour < self._end:
            random = Random(f"{self._seed} {hour}")  # noqa: S311  (repeatable on purpose)
            expected = self._calls_per_day * HOURS[hour.hour] * WEEKDAYS[hour.weekday()]
            first_id = FIRST_ID + int((hour - EPOCH).total_seconds()) // 3600 * CALLS_AN_HOUR
            seconds = sorted(random.randrange(3600) for _ in range(min(int(expected + random.random()), CALLS_AN_HOUR)))
            entries += [(hour + timedelta(seconds=second), first_id + index) for index, second in enumerate(seconds)]
        for index, (moment, size) in enumerate(self._bursts):
            if hour <= moment < hour + HOUR:
                entries += [(moment, BURST_ID + index * 10_000_000 + nth) for nth in range(size)]
        entries += [(moment, call_id) for call_id, moment in self._uploads.items() if hour <= moment < hour + HOUR]
        return sorted(entry for entry in entries if entry[1] not in self._removed)


def _bits(call_id: int, seed: int, word: int) -> int:
    """64 bits that look random and follow from a call's id."""
    mixed = (call_id * 31 + seed * 7919 + word) * MIX & WORD
    mixed = (mixed ^ mixed >> 30) * 0xBF58476D1CE4E5B9 & WORD
    mixed = (mixed ^ mixed >> 27) * 0x94D049BB133111EB & WORD
    return mixed ^ mixed >> 31


def _length(call_id: int, seed: int) -> int:
    """Seconds from a call's start to its end."""
    bits = _bits(call_id, seed, 1)
    wait = 3 + bits % 40
    return wait if bits >> 8 & 15 < 3 else wait + 15 + (bits >> 12) % 600


def make_call(entry: Entry, seed: int) -> Call:
    """Makes a call from its start and id; see the catalog for what the fields mean."""
    start, call_id = entry
    one, two, three = _bits(call_id, seed, 1), _bits(call_id, seed, 2), _bits(call_id, seed, 3)
    wait, length = 3 + one % 40, _length(call_id, seed)
    lost, talk = length == wait, length - wait
    days_before = (
        1 + (one >> 48) % 7 if (one >> 44) % 3 == 0 else 0
    )  # a third of the callers called before, at this hour
    visitor = _bits(call_id - days_before * 24 * CALLS_AN_HOUR, seed, 4) % 10_000_000
    contact_number = 1 + days_before
    index = CAMPAIGN_OF[(two >> 20) % len(CAMPAIGN_OF)]
    campaign_id, campaign, source, medium, utm_campaign, channel, engine = CAMPAIGNS[index]
    first_id, first_campaign = CAMPAIGNS[CAMPAIGN_OF[visitor * 31 % len(CAMPAIGN_OF)]][:2]
    site_id, site, number = SITES[(two >> 28) % len(SITES)]
    region_id, region, city = REGIONS[visitor % len(REGIONS)]
    employee_id, employee = EMPLOYEES[(two >> 34) % len(EMPLOYEES)]
    scenario_id, scenario = SCENARIOS[0 if 9 <= start.hour < 21 else 1]
    marked = bool(source)
    new = contact_number == 1
    started, finished = start.isoformat(" "), (start + timedelta(seconds=length)).isoformat(" ")
    record = f"{three:016x}{two:016x}"
    keyword = f"купить квартиру {region.lower()}" if medium == "cpc" else None
    page = f"https://{site}{PAGES[one % len(PAGES)]}"
    entrance = f"{page}?utm_source={source}&utm_medium={medium}&utm_campaign={utm_campaign}" if marked else page
    attributes = [
        name
        for name, holds in (("first", new), ("lost", lost), ("target", talk > 60), ("quality", talk > 180))
        if holds
    ]
    answered = [employee_id, employee] if not lost else [None, None]
    return {
        "id": call_id,
        "start_time": started,
        "finish_time": finished,
        "finish_reason": "subscriber_disconnects" if lost or one & 1 << 40 else "operator_disconnects",
        "direction": "in",
        "cpn_region_id": region_id,
        "cpn_region_name": region,
        "cpn_country_name": "Россия",
        "cpn_country_id": "RU",
        "properties": None,
        "scenario_operations": [{"id": 71, "name": "Приветствие"}, {"id": 72, "name": "Отдел продаж"}],
        "source": "dynamic_call_tracking" if marked else "call_tracking",
        "is_lost": lost,
        "communication_number": contact_number,
        "communication_page_url": page,
        "contact_phone_number": str(79_000_000_000 + visitor * 2_477 % 999_999_999),
        "communication_id": call_id,
        "communication_type": "call",
        "wait_duration": wait,
        "total_wait_duration": wait + 2,
        "lost_call_processing_duration": 120 + three % 3_600 if lost and three & 1 << 50 else None,
        "talk_duration": talk,
        "clean_talk_duration": max(talk - 4, 0),
        "total_duration": length + 1,
        "postprocess_duration": None if lost else three % 30,
        "call_records": [] if lost else [record],
        "wav_call_records": [],
        "full_record_file_link": None if lost else f"https://records.example/{call_id}/{record}",
        "voice_mail_records": [],
        "virtual_phone_number": number,
        "ua_client_id": f"{two % 2_000_000_000}.{1_700_000_000 + visitor}",
        "ym_client_id": str(1_700_000_000_000_000_000 + visitor * 977),
        "sale_date": None,
        "sale_cost": None,
        "is_transfer": bool(three & 1 << 44) and not lost and talk > 300,
        "search_query": keyword,
        "search_engine": engine,
        "referrer_domain": f"{engine}.ru" if engine else None,
        "referrer": f"https://{engine}.ru/" if engine else None,
        "entrance_page": entrance,
        "gclid": None,
        "yclid": str(three) if source == "yandex" else None,
        "ymclid": None,
        "ef_id": None,
        "channel": channel,
        "tags": _tags(finished, lost, talk, three),
        "employees": [
            {
                "employee_id": employee_id,
                "employee_full_name": employee,
                "is_answered": not lost,
                "is_talked": talk > 20,
            }
        ],
        "last_answered_employee_id": answered[0],
        "last_answered_employee_full_name": answered[1],
        "last_answered_employee_rating": None,
        "first_answered_employee_id": answered[0],
        "first_answered_employee_full_name": answered[1],
        "last_talked_employee_id": answered[0],
        "last_talked_employee_full_name": answered[1],
        "first_talked_employee_id": answered[0],
        "first_talked_employee_full_name": answered[1],
        "operator_phone_number": None if lost else extension(employee_id),
        "scenario_name": scenario,
        "scenario_id": scenario_id,
        "site_domain_name": site,
        "site_id": site_id,
        "campaign_name": campaign,
        "campaign_id": campaign_id,
        "visit_other_campaign": campaign_id != first_id,
        "auto_call_campaign_name": None,
        "visitor_id": 5_000_000_000 + visitor,
        "person_id": 6_000_000_000 + visitor,
        "visitor_type": "Новый" if new else "Вернувшийся",
        "visitor_session_id": 7_000_000_000_000 + call_id,
        "visits_count": contact_number + visitor % 4,
        "visitor_first_campaign_id": first_id,
        "visitor_first_campaign_name": first_campaign,
        "visitor_city": city,
        "visitor_region": region,
        "visitor_country": "Россия",
        "visitor_device": DEVICES[three % len(DEVICES)],
        "visitor_custom_properties": [],
        "segments": [{"segment_id": SEGMENTS[0][0], "segment_name": SEGMENTS[0][1]}] if three & 7 == 0 else [],
        "call_api_request_id": None,
        "call_api_external_id": None,
        "contact_id": None,
        "contact_full_name": None,
        "utm_source": source,
        "utm_medium": medium,
        "utm_term": keyword if marked else None,
        "utm_content": f"ad-{three % 40}" if medium == "cpc" else None,
        "utm_campaign": utm_campaign,
        "openstat_ad": None,
        "openstat_campaign": None,
        "openstat_service": None,
        "openstat_source": None,
        "attributes": attributes,
        "eq_utm_source": source,
        "eq_utm_medium": medium,
        "eq_utm_term": None,
        "eq_utm_content": None,
        "eq_utm_campaign": utm_campaign,
        "eq_utm_referrer": None,
        "eq_utm_expid": None,
        "source_id": None,
        "source_name": None,
        "source_new": None,
        "channel_new": None,
        "channel_code": channel,
        "ext_id": None,
    }


def _tags(finished: str, lost: bool, talk: int, bits: int) -> Optional[List[Call]]:
    """Tags of a call. Calls without any have an empty list, or null, as the live API does."""
    if lost or talk < 40:
        return None if bits & 3 == 0 else []
    tags: List[Call] = []
    for shift in (8, 24) if bits & 8 else (8,):
        tag_id, name = TAGS[(bits >> shift) % len(TAGS)]
        if all(tag["tag_id"] != tag_id for tag in tags):
            by_hand = bool(bits >> shift & 1)
            tags.append(
                {
                    "tag_id": tag_id,
                    "tag_name": name,
                    "tag_type": "manual" if by_hand else "auto",
                    "tag_change_time": finished,
                    "tag_user_id": TAGGER[0] if by_hand else None,
                    "tag_user_login": TAGGER[1] if by_hand else None,
                    "tag_employee_id": None,
                    "tag_employee_full_name": None,
                }
            )
    return tags
