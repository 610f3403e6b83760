"""An account with all that is easily counted wrong, and what of it the tests of the views load."""

from datetime import date, datetime, timedelta
from typing import Any

from comagic.sandbox import SyntheticAccount
from comagic.sandbox.vocabulary import CAMPAIGNS

FIRST, LAST = datetime(2025, 9, 22), datetime(2025, 11, 30)
"""Clocks in Berlin go back on 26 October."""
PERIOD = ["--since", f"{FIRST:%Y-%m-%d}", "--until", f"{LAST - timedelta(days=1):%Y-%m-%d}"]
RESOURCES = (
    "calls",
    "visitor_sessions",
    "deals_history",
    "sales_funnels",
    "campaign_daily_stat",
    "source_costs",
    "virtual_numbers",
    "employees",
    "campaigns",
    "sites",
)
RINGER, PATIENT, OTHER = "79161112233", "79162223344", "79163334455"


def eventful_account() -> SyntheticAccount:
    """An account with all that is easily counted wrong."""
    account = SyntheticAccount(
        timezone="Europe/Berlin",
        first_day=FIRST.date(),
        last_day=date(2025, 11, 29),
        calls_per_day=2,
        bursts=[(datetime(2025, 11, 3, 12), 100)],
    )

    def add(at: datetime, number: str | None, lost: bool, direction: str = "in", **more: Any) -> None:
        times = {"finish_time": (at + timedelta(minutes=2)).isoformat(" "), "wait_duration": 20, "talk_duration": 100}
        if lost:
            times["talk_duration"] = 0
        fields = {"contact_phone_number": number, "is_lost": lost, "direction": direction, **times, **more}
        account.upload(at, **{"attributes": ["lost"] if lost else [], "tags": [], **fields})

    midnight = datetime(2025, 10, 28)
    add(midnight - timedelta(seconds=1), RINGER, True, wait_duration=14)  # rings five times, over midnight
    add(midnight, RINGER, True, wait_duration=15)
    add(midnight + timedelta(minutes=1), RINGER, True)
    add(midnight + timedelta(minutes=2), RINGER, True)
    add(midnight + timedelta(minutes=9), RINGER, False)
    add(datetime(2025, 11, 4, 9), PATIENT, False, "out")  # a call-back before, and one after
    add(datetime(2025, 11, 4, 10), PATIENT, True)
    silent = {"employee_id": 3001, "employee_full_name": "Соколова Анна Викторовна"}
    nobody = [{**silent, "is_answered": False, "is_talked": False}]
    add(datetime(2025, 11, 4, 10, 5), PATIENT, True, "out", employees=nobody)  # not reached
    add(datetime(2025, 11, 4, 11), PATIENT, False, "out")
    add(datetime(2025, 11, 4, 12), PATIENT, False)
    add(datetime(2025, 11, 5, 12), OTHER, True)  # the other line picks up in the same second
    add(datetime(2025, 11, 5, 12), OTHER, False)
    add(datetime(2025, 11, 6, 12), None, True, finish_reason="group_inactive_by_schedule")  # a hidden number
    add(datetime(2025, 11, 6, 13), None, False)
    for minute, source in enumerate(("yandex", "partner", "partner")):  # one campaign, two sources, one cost
        marks: dict[str, Any] = {"campaign_id": 101, "utm_source": source, "eq_utm_source": source}
        mediums: dict[str, Any] = {
            "utm_medium": "cpc",
            "eq_utm_medium": "cpc",
            "campaign_name": CAMPAIGNS[0][1],
            "site_id": 11,
        }
        add(datetime(2025, 11, 7, 12, minute), OTHER, False, **marks, **mediums)
    unknown: dict[str, Any] = dict.fromkeys(("channel", "utm_source", "utm_medium", "eq_utm_source", "eq_utm_medium"))
    unknown["campaign_name"] = CAMPAIGNS[-1][1]
    add(datetime(2025, 10, 26, 1, 59, 59), OTHER, True, campaign_id=-1, **unknown)
    add(datetime(2025, 10, 26, 2, 30), OTHER, True, finish_reason="numa_in_spam_list")  # a time that was there twice
    add(datetime(2025, 10, 26, 3, 30), OTHER, False, "out")
    return account
