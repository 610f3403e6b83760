"""Figures of a report as no account would have them all: every section, names that could do harm."""

from datetime import date, datetime, timedelta
from typing import Any

from comagic.load.figures import Days, Figures, Trust

HARMFUL = "</script><script>document.title='harmed'</script><img src=https://example.com/x.png>"
PHONE = "8 (495) 123-00-11"
PERSON = "Соколова Анна"
SECTIONS = ("days", "hours", "recovery", "campaigns", "costs", "sources", "employees", "tags", "durations", "funnel")
COUNTED = ("calls", "incoming", "missed", "abandoned", "first_calls", "target", "talk_seconds")


def sample_figures(days: int = 30, campaigns: int = 9) -> Figures:
    """Returns figures of so many days and campaigns."""
    until = date(2026, 11, 29)
    period = Days(until - timedelta(days=days - 1), until)
    by_day = [
        {
            "partition_date": day,
            **dict(zip(COUNTED, (40 + day.day, 30 + day.day, day.day % 9, 2, 10, 20, 5_000), strict=True)),
        }
        for day in period
    ]
    totals: dict[str, Any] = {name: sum(row[name] for row in by_day) for name in COUNTED}
    more = {
        "cost": 150_000.5,
        "recovered": 30,
        "never_recovered": 60,
        "called_back": 20,
        "recovered_soon": 15,
        "seconds_a_talk": 187.4,
    }
    return Figures(
        period,
        accounts=[{"app_id": 4200001, "timezone": "Europe/Moscow"}],
        totals={**totals, **more},
        before={**{name: value * 0.9 for name, value in totals.items()}, **more, "cost": 140_000},
        by_day=by_day,
        hours=[
            {"weekday": weekday, "hour": hour, "calls": 9, "incoming": 8, "missed": (weekday * hour) % 8}
            for weekday in range(1, 8)
            for hour in range(24)
        ],
        recovery=[
            {
                "is_current": 1,
                "recovered_within": within,
                "recovered_by": by,
                "is_working_hours": True,
                "missed": missed,
            }
            for within, by, missed in (
                ("5_minutes", "callback", 12),
                ("20_minutes", "caller", 3),
                ("hour", "callback", 9),
                ("day", "caller", 6),
                ("later", "callback", 1),
                ("never", None, 60),
            )
        ],
        sources=[
            {
                "source": source,
                "medium": medium,
                "calls": calls,
                "missed": 5,
                "target": 9,
                "cost": 7.5,
                "found": 40,
            }
            for source, medium, calls in (("yandex", "cpc", 900), (None, "organic", 300), (None, None, 12))
        ],
        campaigns=[
            {
                "campaign_id": 100 + number,
                "campaign": (HARMFUL, f"Баннер {PHONE}", None)[number] if number < 3 else f"Кампания {number} | Поиск",
                "calls": 1_000 - 45 * number,
                "missed": 40,
                "first_calls": 100,
                "target": 90,
                "clicks": 1_200,
                "cost": 45_000.0 + number,
                "found": campaigns,
            }
            for number in range(campaigns)
        ],
        employees=[
            {
                "employee_id": 3001,
                "employee": PERSON,
                "offered": 50,
                "answered": 41,
                "missed": 9,
                "outgoing": 7,
                "talk_seconds": 7_500,
                "seconds_to_answer": 11.25,
                "found": 1,
            }
        ],
        tags=[{"tag_id": 1, "tag": "Целевой звонок", "calls": 77, "found": 1}],
        durations=[
            {"direction": way, "bucket": bucket, "calls": 5} for bucket in (0, 60, 600) for way in ("in", "out")
        ],
        funnel={
            "sessions": 5_000,
            "sessions_with_call": 400,
            "calls": 410,
            "deals": 90,
            "won_deals": 12,
            "revenue": 9e6,
            "won_revenue": 4e6,
        },
        trust=Trust(
            loaded_up_to=datetime(2026, 11, 30, 4, 17),
            first_loaded=datetime(2020, 1, 1),
            last_run=datetime(2026, 11, 30, 4, 20),
            outcome="complete",
            without_source=0.04,
        ),
    )
