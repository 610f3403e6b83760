"""Reports whose rows have a time of their own, or sum up days: deals, costs, coverage, statuses, uploads.

They follow from the calls, so that they agree with them: every fifth call that was answered becomes a deal, which goes
through the funnel in the next days; campaigns cost money by the calls that they bring.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any

from ..catalog import LIST, Report
from .account import SyntheticAccount
from .call_tracking import SOURCES
from .calls import API_TIME, Call
from .vocabulary import DEAL_EMPLOYEES, EMPLOYEES, FUNNEL, SITES, STAGES

Row = dict[str, Any]

DAYS_TO_STAGE = {"new": 0, "visit": 1, "sold": 5, "lost": 5}
"""Days from a call to each stage of its deal."""
LONGEST_DEAL = timedelta(days=6)


def deal_of(call: Call) -> Row | None:
    """The deal that a call has become; None if it has become none."""
    if call["is_lost"] or call["id"] % 5:
        return None
    is_won = call["id"] % 3 != 0
    return {"ext_id": f"deal-{call['id']}", "is_won": is_won, "revenue": 10_000.0 + call["id"] % 90 * 500.0}


def _deals_history(
    report: Report, account: SyntheticAccount, start: datetime, end: datetime, now: datetime
) -> Iterator[Row]:
    for call in account.calls(start - LONGEST_DEAL, end, now):
        if not (deal := deal_of(call)):
            continue
        created = datetime.strptime(call["start_time"], API_TIME)
        for stage, _, status, _ in STAGES:
            reached = created + timedelta(days=DAYS_TO_STAGE[stage], minutes=10)
            if status == ("failed" if deal["is_won"] else "success") or not start <= reached < end or reached > now:
                continue
            is_closed = status != "in_process"
            yield {
                **_empty(report),
                "ext_id": deal["ext_id"],
                "name": f"Сделка {call['id']}",
                "created_date_time": call["start_time"],
                "closed_date_time": reached.strftime(API_TIME) if is_closed else None,
                "modified_stage_date_time": reached.strftime(API_TIME),
                "contact_ext_ids": [str(1 + call["id"] % 2)],
                "main_contact_ext_id": str(1 + call["id"] % 2),
                "employee_ext_id": DEAL_EMPLOYEES[call["id"] % 2][0],
                "revenue": deal["revenue"] if status == "success" else 0.0,
                "sales_funnel_ext_id": FUNNEL[0],
                "stage_ext_id": stage,
                "is_generated": False,
                "communication_id": call["id"],
                "communication_type": "call",
            }


def _source_costs(
    report: Report, account: SyntheticAccount, start: datetime, end: datetime, now: datetime
) -> Iterator[Row]:
    paid = [call for call in account.calls(start, end, now) if call["campaign_id"] > 0]
    calls = Counter((call["campaign_id"] % len(SOURCES), call["site_id"]) for call in paid)
    domains = {site_id: domain for site_id, domain, _ in SITES}
    for (index, site_id), count in sorted(calls.items()):
        yield {
            **_empty(report),
            **{"source_id": SOURCES[index][0], "source_name": SOURCES[index][1], "cost": 150.0 * count},
            **{"site_id": site_id, "site_domain_name": domains[site_id]},
        }


def _ct_summary(
    report: Report, account: SyntheticAccount, start: datetime, end: datetime, now: datetime
) -> Iterator[Row]:
    calls = list(account.calls(start, end, now))
    for site_id, domain, _ in SITES:
        own = [call for call in calls if call["site_id"] == site_id]
        without = sum(call["visitor_session_id"] is None for call in own)
        yield {
            **_empty(report),
            **{"site_id": site_id, "site_domain": domain, "reserve_numbers_count": 2, "active_numbers_count": 8},
            **{"calls_count": len(own), "non_session_calls_count": without},
            "dt_ratio": round(1 - without / len(own), 2) if own else None,
        }


def _employee_stat(
    report: Report, account: SyntheticAccount, start: datetime, end: datetime, now: datetime
) -> Iterator[Row]:
    talks: Counter[int] = Counter()
    for call in account.calls(start, end, now):
        talks[call["employees"][0]["employee_id"]] += call["talk_duration"] or 0
    for employee_id, full_name in EMPLOYEES:
        last, first, patronymic = full_name.split()
        yield {
            **_empty(report),
            **{"id": employee_id, "full_name": full_name},
            **{"first_name": first, "last_name": last, "patronymic": patronymic},
            "status_stats": {"available": 8 * 3600 - talks[employee_id], "talking": talks[employee_id]},
        }


def _uploaded_calls(
    report: Report, account: SyntheticAccount, start: datetime, end: datetime, _: datetime
) -> Iterator[Row]:
    for at, call in account.uploads(start, end):
        shared = {name: call[name] for name in report.fields if name in call and report.fields[name].type != LIST}
        yield {
            **_empty(report),
            **shared,
            **{"ext_id": f"ext-{call['id']}", "upload_time": at.strftime(API_TIME), "call_session_id": call["id"]},
            **{"calling_phone_number": call["contact_phone_number"], "status": "processed", "error_code": None},
        }


def _empty(report: Report) -> Row:
    return {name: [] if field.type == LIST else None for name, field in report.fields.items()}


Maker = Callable[[Report, SyntheticAccount, datetime, datetime, datetime], Iterator[Row]]

OWN_MAKERS: Mapping[str, Maker] = {
    "deals_history": _deals_history,
    "source_costs": _source_costs,
    "ct_summary": _ct_summary,
    "employee_stat": _employee_stat,
    "uploaded_calls": _uploaded_calls,
}
"""Makers of the rows of a period, by report: of the account's calls, and the present."""
