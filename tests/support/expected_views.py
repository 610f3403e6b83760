"""What the views have to show of a sandbox's account, counted in Python from the rows that its API sends."""

import statistics
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from comagic.catalog import reports
from comagic.sandbox import SyntheticAccount
from comagic.sandbox.own_reports import OWN_MAKERS
from comagic.sandbox.reports import daily_stat, derived
from comagic.sandbox.vocabulary import SITES, STAGES

Row = dict[str, Any]
BY_SCHEDULE = "inactive_by_schedule"
WON = {stage for stage, _, status, _ in STAGES if status == "success"}


class ExpectedViews:
    """The views' rows of a period of an account, each as a list of dictionaries.

    Args:
        account: the account; all its times are local.
        start: first moment.
        end: the moment after the last.
        abandoned_after: seconds of waiting below which a missed call is abandoned.
        attribution_days: days before a call in which a visit counts.
    """

    def __init__(
        self,
        account: SyntheticAccount,
        start: datetime,
        end: datetime,
        abandoned_after: int = 15,
        attribution_days: int = 180,
    ) -> None:
        self.account, self.start, self.end = account, start, end
        self.zone = ZoneInfo(account.timezone)
        self.abandoned_after, self.longest = abandoned_after, timedelta(days=attribution_days)
        self.calls = list(account.calls(start, end, datetime(2100, 1, 1)))
        self.sessions = [row for call in self.calls for row in derived(reports()["visitor_sessions"], call)]

    def calls_daily(self) -> list[Row]:
        return self._counted(lambda call: {"partition_date": day_of(call)})

    def calls_hourly(self) -> list[Row]:
        return self._counted(
            lambda call: {
                "partition_date": day_of(call),
                "weekday": day_of(call).isoweekday(),
                "hour": moment_of(call).hour,
            }
        )

    def calls_flat(self) -> list[Row]:
        """The columns that are the view's own."""
        return [self._flat(call) for call in self.calls]

    def _flat(self, call: Row) -> Row:
        number, tags = call["contact_phone_number"], [tag["tag_name"] for tag in call["tags"] or ()]
        marks, records = call["attributes"] or (), call["call_records"] or ()
        link = f"https://app.comagic.ru/system/media/talk/{call['communication_id']}"
        return {
            "id": call["id"],
            "partition_date": day_of(call),
            "start_time": self._instant(call["start_time"]),
            "start_time_local": moment_of(call),
            "weekday": day_of(call).isoweekday(),
            "hour": moment_of(call).hour,
            "phone": f"+{number}" if number else None,
            "traffic_source": call["utm_source"],
            "traffic_medium": call["utm_medium"] or call["channel"],
            "campaign": call["campaign_name"],
            "employee": call["last_answered_employee_full_name"],
            "site": call["site_domain_name"],
            "tags": str(tags),
            "tags_text": ", ".join(tags) or None,
            "is_missed": is_missed(call),
            "is_first": "first" in marks,
            "is_target": "target" in marks,
            "recording_url": f"{link}/{records[0]}/" if records else None,
        }

    def missed_calls(self) -> list[Row]:
        answered: dict[str, list[Row]] = defaultdict(list)
        for call in self.calls:
            if call["contact_phone_number"] and not call["is_lost"]:
                answered[call["contact_phone_number"]].append(call)
        return [self._missed(call, answered[call["contact_phone_number"]]) for call in self.calls if is_missed(call)]

    def _missed(self, call: Row, answered: Sequence[Row]) -> Row:
        start = self._instant(call["start_time"])
        later = [one for one in answered if self._instant(one["start_time"]) > start]
        later.sort(key=lambda one: (self._instant(one["start_time"]), one["direction"] == "in"))
        recovery = later[0] if later else None
        at = self._instant(recovery["start_time"]) if recovery else None
        number = call["contact_phone_number"]
        return {
            "partition_date": day_of(call),
            "id": call["id"],
            "start_time": start,
            "start_time_local": moment_of(call),
            "weekday": day_of(call).isoweekday(),
            "hour": moment_of(call).hour,
            "phone": f"+{number}" if number else None,
            "virtual_phone_number": call["virtual_phone_number"],
            "source": call["utm_source"],
            "medium": call["utm_medium"] or call["channel"],
            "campaign": call["campaign_name"],
            "site": call["site_domain_name"],
            "finish_reason": call["finish_reason"],
            "is_working_hours": BY_SCHEDULE not in call["finish_reason"],
            "waited_seconds": call["wait_duration"],
            "is_abandoned": call["wait_duration"] < self.abandoned_after,
            "recovered_at": at,
            "recovered_at_local": moment_of(recovery) if recovery else None,
            "recovered_by": recovery and {"in": "caller", "out": "callback"}[recovery["direction"]],
            "minutes_to_recovery": (at - start).total_seconds() / 60 if at else None,
            "lost_call_processing_seconds": call["lost_call_processing_duration"],
        }

    def sources_daily(self) -> list[Row]:
        groups = grouped(
            self.calls, lambda c: (day_of(c), c["utm_source"], c["utm_medium"] or c["channel"], c["campaign_id"])
        )
        costs: dict[Any, list[float]] = defaultdict(lambda: [0.0, 0.0])
        names, engines = {}, {}
        for site_id, *_ in SITES:
            for row in daily_stat(reports()["campaign_daily_stat"], site_id, self.calls):
                key = date.fromisoformat(row["date"]), row["campaign_id"]
                costs[key][0] += row["clicks_count"]
                costs[key][1] += float(row["cost_sum"])
                names[key[1]], engines[key[1]] = row["campaign_name"], row["engine"]
        calls_of = Counter((day_of(call), call["campaign_id"]) for call in self.calls)
        rows = []
        for (day, source, medium, campaign_id), calls in groups.items():
            clicks, cost = costs.get((day, campaign_id), (None, None))
            share = len(calls) / calls_of[day, campaign_id]
            targets = sum("target" in call["attributes"] for call in calls)
            rows.append(
                {
                    "partition_date": day,
                    "source": source,
                    "medium": medium,
                    "campaign_id": campaign_id,
                    "campaign": calls[0]["campaign_name"],
                    "calls": len(calls),
                    "missed": sum(map(is_missed, calls)),
                    "first": sum("first" in call["attributes"] for call in calls),
                    "target": targets,
                    "spam": sum(call["finish_reason"] in ("numa_in_spam_list", "numa_in_black_list") for call in calls),
                    "clicks": None if clicks is None else clicks * share,
                    "cost": None if cost is None else cost * share,
                    "cost_per_call": None if cost is None else cost * share / len(calls),
                    "cost_per_target_call": None if cost is None or not targets else cost * share / targets,
                }
            )
        nothing = {"calls": 0, "missed": 0, "first": 0, "target": 0, "spam": 0, "clicks": None}
        for (day, name), cost in self._source_costs().items():
            rows.append(
                {"partition_date": day, "source": name, "medium": None, "campaign_id": None, "campaign": None}
                | nothing
                | {"cost": cost, "cost_per_call": None, "cost_per_target_call": None}
            )
        return rows

    def _source_costs(self) -> dict[tuple[date, str], float]:
        found: dict[tuple[date, str], float] = defaultdict(float)
        day, make = self.start, OWN_MAKERS["source_costs"]
        while day < self.end:
            following = day + timedelta(days=1)
            for row in make(reports()["source_costs"], self.account, day, following, datetime(2100, 1, 1)):
                found[day.date(), row["source_name"]] += row["cost"]
            day = following
        return found

    def employees_daily(self) -> list[Row]:
        reached = [(call, one) for call in self.calls for one in call["employees"]]
        rows = []
        for (day, employee_id), pairs in grouped(reached, lambda p: (day_of(p[0]), p[1]["employee_id"])).items():
            offered = [(call, one) for call, one in pairs if call["direction"] == "in"]
            waits = [call["wait_duration"] for call, one in offered if one["is_answered"]]
            rows.append(
                {
                    "partition_date": day,
                    "employee_id": employee_id,
                    "employee": pairs[0][1]["employee_full_name"],
                    "offered": len(offered),
                    "answered": len(waits),
                    "missed": len(offered) - len(waits),
                    "outgoing": len(pairs) - len(offered),
                    "talk_seconds": sum(call["talk_duration"] for call, one in pairs if one["is_talked"]),
                    "seconds_to_answer": sum(waits) / len(waits) if waits else None,
                }
            )
        return rows

    def tags_daily(self) -> list[Row]:
        tagged = [(call, tag) for call in self.calls for tag in call["tags"] or []]
        return [
            {
                "partition_date": day,
                "tag_id": tag_id,
                "tag": pairs[0][1]["tag_name"],
                "calls": len(pairs),
                "tagged_manually": sum(tag["tag_type"] == "manual" for _, tag in pairs),
                "minutes_to_tag": statistics.fmean(
                    (self._instant(tag["tag_change_time"]) - self._instant(call["finish_time"])).total_seconds() / 60
                    for call, tag in pairs
                ),
            }
            for (day, tag_id), pairs in grouped(tagged, lambda p: (day_of(p[0]), p[1]["tag_id"])).items()
        ]

    def tracking_quality(self, numbers: Iterable[str]) -> list[Row]:
        """Its rows, with those of numbers that have no calls."""
        first, last = day_of(self.calls[0]), day_of(self.calls[-1])
        by_number: dict[str, Counter[date]] = {number: Counter() for number in numbers}
        lacking: Counter[tuple[str, date]] = Counter()
        for call in self.calls:
            number = call["virtual_phone_number"]
            by_number.setdefault(number, Counter())[day_of(call)] += 1
            has_source = call["campaign_id"] > 0 or call["utm_source"] or call["channel"]
            lacking[number, day_of(call)] += not has_source
        return [
            self._quality(number, first + timedelta(days=n), counts, lacking, first)
            for number, counts in by_number.items()
            for n in range((last - first).days + 1)
        ]

    def _quality(
        self, number: str, day: date, counts: Counter[date], lacking: Counter[tuple[str, date]], first: date
    ) -> Row:
        calls, without = counts[day], lacking[number, day]
        before = [counts[day - timedelta(weeks=n)] for n in range(1, 9) if day - timedelta(weeks=n) >= first]
        low = high = None
        if len(before) >= 4:
            average, deviation = statistics.fmean(before), statistics.pstdev(before)
            low, high = max(average - 3 * deviation, 0.0), average + 3 * deviation
        return {
            "partition_date": day,
            "weekday": day.isoweekday(),
            "virtual_phone_number": number,
            "calls": calls,
            "without_source": without,
            "share_without_source": without / calls if calls else None,
            "is_reliable": without / calls <= 0.1 if calls else None,
            "usual_low": low,
            "usual_high": high,
            "is_unusual": None if low is None or high is None else not low - 1e-6 <= calls <= high + 1e-6,
        }

    def attribution(self) -> list[Row]:
        deals = self._deals()
        by_visitor = grouped(self.sessions, lambda session: session["visitor_id"])
        totals: dict[Any, list[Any]] = defaultdict(lambda: [0, 0, 0, 0, 0.0, 0.0])
        names: dict[Any, str] = {}
        for call in self.calls:
            start = self._instant(call["start_time"])
            visits = [
                session
                for session in by_visitor.get(call["visitor_id"], [])
                if timedelta() <= start - self._instant(session["date_time"]) <= self.longest
            ]
            visits.sort(key=lambda session: (self._instant(session["date_time"]), session["id"]))
            others = [one for one in visits if one["utm_source"] or one["channel"] != "direct"]
            chosen = {"first": visits[0], "last_non_direct": (others or visits)[-1]} if visits else {}
            for model in ("first", "last_non_direct"):
                visit = chosen.get(model, call)
                key = (
                    day_of(call),
                    model,
                    visit["utm_source"],
                    visit["utm_medium"] or visit["channel"],
                    visit["campaign_id"],
                )
                names[key] = visit["campaign_name"]
                deal = deals.get(call["id"], (0, 0, 0.0, 0.0))
                totals[key] = [a + b for a, b in zip(totals[key], (1, bool(visits), *deal), strict=True)]
        calls_of = Counter(day_of(call) for call in self.calls)
        figures = ("calls", "calls_with_visit", "deals", "won_deals", "revenue", "won_revenue")
        keys = ("partition_date", "model", "source", "medium", "campaign_id")
        return [
            dict(zip(keys, key, strict=True))
            | {"campaign": names[key], "share": sums[0] / calls_of[key[0]]}
            | dict(zip(figures, sums, strict=True))
            for key, sums in totals.items()
        ]

    def funnel(self) -> list[Row]:
        deals = self._deals()
        calls_of = grouped(self.calls, lambda call: call["visitor_session_id"])
        rows = []
        for (week, campaign_id), visits in grouped(
            self.sessions, lambda s: (monday(datetime.fromisoformat(s["date_time"]).date()), s["campaign_id"])
        ).items():
            calls = [call for visit in visits for call in calls_of.get(visit["id"], [])]
            sums = [sum(column) for column in zip(*(deals.get(c["id"], (0, 0, 0.0, 0.0)) for c in calls), strict=True)]
            rows.append(
                {
                    "week": week,
                    "campaign_id": campaign_id,
                    "campaign": visits[0]["campaign_name"],
                    "sessions": len(visits),
                    "sessions_with_call": sum(visit["id"] in calls_of for visit in visits),
                    "calls": len(calls),
                    **dict(zip(("deals", "won_deals", "revenue", "won_revenue"), sums or [0] * 4, strict=True)),
                }
            )
        return rows

    def _deals(self) -> dict[int, tuple[int, int, float, float]]:
        """Deals of the period by call: how many, how many won, revenue, revenue of the won ones."""
        make = OWN_MAKERS["deals_history"]
        latest: dict[str, Row] = {}
        for row in make(reports()["deals_history"], self.account, self.start, self.end, datetime(2100, 1, 1)):
            known = latest.get(row["ext_id"])
            if known is None or known["modified_stage_date_time"] < row["modified_stage_date_time"]:
                latest[row["ext_id"]] = row
        return {
            row["communication_id"]: (
                1,
                int(row["stage_ext_id"] in WON),
                row["revenue"],
                row["revenue"] if row["stage_ext_id"] in WON else 0.0,
            )
            for row in latest.values()
        }

    def _counted(self, key: Callable[[Row], Row]) -> list[Row]:
        return [
            dict(group)
            | {
                "calls": len(calls),
                "incoming": sum(call["direction"] == "in" for call in calls),
                "missed": sum(map(is_missed, calls)),
                "abandoned": sum(is_missed(call) and call["wait_duration"] < self.abandoned_after for call in calls),
                "first": sum("first" in call["attributes"] for call in calls),
                "target": sum("target" in call["attributes"] for call in calls),
                "unique_callers": len(
                    {call["contact_phone_number"] for call in calls if call["direction"] == "in"} - {None, ""}
                ),
                "talk_seconds": sum(call["talk_duration"] for call in calls),
            }
            for group, calls in grouped(self.calls, lambda call: tuple(key(call).items())).items()
        ]

    def _instant(self, local: str) -> datetime:
        return datetime.fromisoformat(local).replace(tzinfo=self.zone).astimezone(UTC)


def grouped(rows: Iterable[Any], key: Callable[[Any], Any]) -> dict[Any, list[Any]]:
    """Rows by a key."""
    groups: dict[Any, list[Any]] = defaultdict(list)
    for row in rows:
        groups[key(row)].append(row)
    return groups


def moment_of(call: Row) -> datetime:
    """Local start of a call."""
    return datetime.fromisoformat(call["start_time"])


def day_of(call: Row) -> date:
    """Local day of a call."""
    return moment_of(call).date()


def monday(day: date) -> date:
    """Monday of a day's week."""
    return day - timedelta(days=day.weekday())


def is_missed(call: Row) -> bool:
    """An incoming call that nobody answered."""
    return bool(call["is_lost"]) and call["direction"] == "in"


def comparable(rows: Iterable[Row]) -> Iterator[tuple[tuple[str, ...], list[Any]]]:
    """Rows in an order that does not depend on the destination: what is no fraction first, then the fractions."""
    for row in rows:
        exact = tuple(f"{name}={value}" for name, value in sorted(row.items()) if not isinstance(value, float))
        yield exact, [value for _, value in sorted(row.items()) if isinstance(value, float)]
