"""Makes synthetic calls: every field of a call follows from its start, its id and the account's seed."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from .vocabulary import (
    CAMPAIGNS,
    DEVICES,
    EMPLOYEES,
    PAGES,
    REGIONS,
    SCENARIOS,
    SEGMENTS,
    SITES,
    TAGGER,
    TAGS,
    WEIGHTED_CAMPAIGNS,
    extension,
)

API_TIME = "%Y-%m-%d %H:%M:%S"
CALLS_PER_HOUR = 100_000
"""Calls of one hour at most: each hour has a range of so many ids."""
MIX = 0x9E3779B97F4A7C15
WORD = (1 << 64) - 1

Call = dict[str, Any]
Entry = tuple[datetime, int]
"""Start, in the account's local time, and id of a call: all that is needed to make it."""


def call_length(call_id: int, seed: int) -> int:
    """Seconds from a call's start to its end."""
    bits = _bits(call_id, seed, 1)
    wait = 3 + bits % 40
    return wait if bits >> 8 & 15 < 3 else wait + 15 + (bits >> 12) % 600


def make_call(entry: Entry, seed: int) -> Call:
    """All 105 fields of a call; the catalog describes them.

    Args:
        entry: start and id of the call.
        seed: the account's seed.
    """
    start, call_id = entry
    one, two, three = (_bits(call_id, seed, word) for word in (1, 2, 3))
    wait, length = 3 + one % 40, call_length(call_id, seed)
    talk = length - wait
    lost = talk == 0
    # a third of the callers called before, at the same hour
    days_before = 1 + (one >> 48) % 7 if (one >> 44) % 3 == 0 else 0
    visitor = _bits(call_id - days_before * 24 * CALLS_PER_HOUR, seed, 4) % 10_000_000
    campaign = CAMPAIGNS[WEIGHTED_CAMPAIGNS[(two >> 20) % len(WEIGHTED_CAMPAIGNS)]]
    site = SITES[(two >> 28) % len(SITES)]
    finished = (start + timedelta(seconds=length)).isoformat(" ")
    return {
        "id": call_id,
        "start_time": start.isoformat(" "),
        "finish_time": finished,
        "finish_reason": "subscriber_disconnects" if lost or one & 1 << 40 else "operator_disconnects",
        "direction": "in",
        "communication_number": 1 + days_before,
        "communication_id": call_id,
        "communication_type": "call",
        "is_lost": lost,
        "is_transfer": bool(three & 1 << 44) and not lost and talk > 300,
        "lost_call_processing_duration": 120 + three % 3_600 if lost and three & 1 << 50 else None,
        "postprocess_duration": None if lost else three % 30,
        "tags": _tags(finished, lost, talk, three),
        "attributes": _attributes(days_before == 0, lost, talk),
        **_durations(wait, talk),
        **_records(call_id, lost, f"{three:016x}{two:016x}"),
        **_scenario(start.hour),
        **_employees(EMPLOYEES[(two >> 34) % len(EMPLOYEES)], lost, talk),
        **_site(site, PAGES[one % len(PAGES)], campaign),
        **_campaign(campaign, REGIONS[visitor % len(REGIONS)][1], three),
        **_visitor(visitor, campaign[0], 1 + days_before, two, three),
        "visitor_session_id": 7_000_000_000_000 + call_id,
        **dict.fromkeys(ALWAYS_NULL),
    }


ALWAYS_NULL = (
    "properties",
    "sale_date",
    "sale_cost",
    "gclid",
    "ymclid",
    "ef_id",
    "last_answered_employee_rating",
    "auto_call_campaign_name",
    "call_api_request_id",
    "call_api_external_id",
    "contact_id",
    "contact_full_name",
    "openstat_ad",
    "openstat_campaign",
    "openstat_service",
    "openstat_source",
    "eq_utm_term",
    "eq_utm_content",
    "eq_utm_referrer",
    "eq_utm_expid",
    "source_id",
    "source_name",
    "source_new",
    "channel_new",
    "ext_id",
)
"""Fields of calls that the synthetic account does not use."""


def _bits(call_id: int, seed: int, word: int) -> int:
    """64 random-looking bits that follow from a call's id."""
    mixed = (call_id * 31 + seed * 7919 + word) * MIX & WORD
    mixed = (mixed ^ mixed >> 30) * 0xBF58476D1CE4E5B9 & WORD
    mixed = (mixed ^ mixed >> 27) * 0x94D049BB133111EB & WORD
    return mixed ^ mixed >> 31


def _durations(wait: int, talk: int) -> Call:
    return {
        "wait_duration": wait,
        "total_wait_duration": wait + 2,
        "talk_duration": talk,
        "clean_talk_duration": max(talk - 4, 0),
        "total_duration": wait + talk + 1,
    }


def _records(call_id: int, lost: bool, record: str) -> Call:
    return {
        "call_records": [] if lost else [record],
        "wav_call_records": [],
        "full_record_file_link": None if lost else f"https://records.example/{call_id}/{record}",
        "voice_mail_records": [],
    }


def _scenario(hour: int) -> Call:
    scenario_id, scenario = SCENARIOS[0 if 9 <= hour < 21 else 1]
    operations = [{"id": 71, "name": "Приветствие"}, {"id": 72, "name": "Отдел продаж"}]
    return {"scenario_id": scenario_id, "scenario_name": scenario, "scenario_operations": operations}


def _employees(employee: tuple[int, str], lost: bool, talk: int) -> Call:
    employee_id, name = employee
    call: Call = {
        "employees": [
            {
                "employee_id": employee_id,
                "employee_full_name": name,
                "is_answered": not lost,
                "is_talked": talk > 20,
            }
        ],
        "operator_phone_number": None if lost else extension(employee_id),
    }
    for role in ("last_answered", "first_answered", "last_talked", "first_talked"):
        call[f"{role}_employee_id"] = None if lost else employee_id
        call[f"{role}_employee_full_name"] = None if lost else name
    return call


def _site(site: tuple[int, str, str], path: str, campaign: Sequence[Any]) -> Call:
    site_id, domain, number = site
    _, _, source, medium, utm_campaign, *_ = campaign
    page = f"https://{domain}{path}"
    marks = f"?utm_source={source}&utm_medium={medium}&utm_campaign={utm_campaign}" if source else ""
    return {
        "site_id": site_id,
        "site_domain_name": domain,
        "virtual_phone_number": number,
        "communication_page_url": page,
        "entrance_page": page + marks,
    }


def _campaign(campaign: Sequence[Any], region: str, bits: int) -> Call:
    """Where the visitor came from."""
    campaign_id, name, source, medium, utm_campaign, channel, engine = campaign
    keyword = f"купить квартиру {region.lower()}" if medium == "cpc" else None
    return {
        "source": "dynamic_call_tracking" if source else "call_tracking",
        "campaign_id": campaign_id,
        "campaign_name": name,
        "search_query": keyword,
        "search_engine": engine,
        "referrer_domain": f"{engine}.ru" if engine else None,
        "referrer": f"https://{engine}.ru/" if engine else None,
        "yclid": str(bits) if source == "yandex" else None,
        "channel": channel,
        "channel_code": channel,
        "utm_source": source,
        "utm_medium": medium,
        "utm_term": keyword if source else None,
        "utm_content": f"ad-{bits % 40}" if medium == "cpc" else None,
        "utm_campaign": utm_campaign,
        "eq_utm_source": source,
        "eq_utm_medium": medium,
        "eq_utm_campaign": utm_campaign,
    }


def _visitor(visitor: int, campaign_id: int, contact_number: int, two: int, three: int) -> Call:
    region_id, region, city = REGIONS[visitor % len(REGIONS)]
    first_id, first_campaign = CAMPAIGNS[WEIGHTED_CAMPAIGNS[visitor * 31 % len(WEIGHTED_CAMPAIGNS)]][:2]
    segment_id, segment = SEGMENTS[0]
    return {
        "cpn_region_id": region_id,
        "cpn_region_name": region,
        "cpn_country_name": "Россия",
        "cpn_country_id": "RU",
        "contact_phone_number": str(79_000_000_000 + visitor * 2_477 % 999_999_999),
        "ua_client_id": f"{two % 2_000_000_000}.{1_700_000_000 + visitor}",
        "ym_client_id": str(1_700_000_000_000_000_000 + visitor * 977),
        "visit_other_campaign": campaign_id != first_id,
        "visitor_id": 5_000_000_000 + visitor,
        "person_id": 6_000_000_000 + visitor,
        "visitor_type": "Новый" if contact_number == 1 else "Вернувшийся",
        "visits_count": contact_number + visitor % 4,
        "visitor_first_campaign_id": first_id,
        "visitor_first_campaign_name": first_campaign,
        "visitor_city": city,
        "visitor_region": region,
        "visitor_country": "Россия",
        "visitor_device": DEVICES[three % len(DEVICES)],
        "visitor_custom_properties": [],
        "segments": [{"segment_id": segment_id, "segment_name": segment}] if three & 7 == 0 else [],
    }


def _attributes(new: bool, lost: bool, talk: int) -> list[str]:
    conditions = (("first", new), ("lost", lost), ("target", talk > 60), ("quality", talk > 180))
    return [name for name, holds in conditions if holds]


def _tags(finished: str, lost: bool, talk: int, bits: int) -> list[Call] | None:
    """Tags of a call. Calls without tags have an empty list or null, as in the live API."""
    if lost or talk < 40:
        return None if bits & 3 == 0 else []
    tags: list[Call] = []
    for shift in (8, 24) if bits & 8 else (8,):
        tag_id, name = TAGS[(bits >> shift) % len(TAGS)]
        if all(tag["tag_id"] != tag_id for tag in tags):
            manual = bool(bits >> shift & 1)
            tags.append(
                {
                    "tag_id": tag_id,
                    "tag_name": name,
                    "tag_type": "manual" if manual else "auto",
                    "tag_change_time": finished,
                    "tag_user_id": TAGGER[0] if manual else None,
                    "tag_user_login": TAGGER[1] if manual else None,
                    "tag_employee_id": None,
                    "tag_employee_full_name": None,
                }
            )
    return tags
