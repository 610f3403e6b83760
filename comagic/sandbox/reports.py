"""Rows of the synthetic account's reports, made from its calls.

Some reports have a maker of their own, so that they agree with the calls and with each other: each call has two legs,
one of them charged, and belongs to a site visit; some visits reach a goal, have a chat or leave an offline message, at
the time of their call. Every other report of the catalog has one row per call, made of default values.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any

from ..catalog import DAY, LIST, Report
from .calls import Call
from .defaults import default_value, fits, stable_number
from .vocabulary import CHANNEL

Row = dict[str, Any]

CALLS = "calls"
DAILY_STAT = "campaign_daily_stat"

GOALS, CHATS, MESSAGES = 2_000_000_000_000, 3_000_000_000_000, 4_000_000_000_000
"""First ids of goals, chats and offline messages: ids of communications are unique across their types."""

MOST_CALL_IDS = 10_000_000_000_000
"""More than any id of a call."""


def make_rows(report: Report, calls: Iterable[Call], for_each: Mapping[str, Any]) -> Iterator[Row]:
    """The rows of a report that belong to the given calls, with all fields of the report.

    Args:
        report: the report.
        calls: calls by time; those of whole days for a report with a date as its cursor.
        for_each: values of the parameters that the report requires; `calls` belong to them, see `select_calls`.
    """
    if report.name == CALLS:
        yield from calls
    elif report.name == DAILY_STAT:
        yield from daily_stat(report, for_each["site_id"], calls)
    else:
        values = {name: value for name, value in for_each.items() if name in report.fields}
        for call in calls:
            for row in derived(report, call):
                row.update(values)
                yield row


def has_one_row_per_call(report: Report) -> bool:
    """True if each call brings one row, so that a page of rows can be made from a page of calls."""
    return not report.for_each and report.name not in (*MAKERS, DAILY_STAT)


def select_calls(calls: Iterable[Call], for_each: Mapping[str, Any], ids: Mapping[str, Sequence[Any]]) -> list[Call]:
    """The calls that belong to the values of the parameters that a report requires.

    A call has its site. A parameter that calls do not have is assigned by the call's id, so that each call belongs to
    one entry of the dictionary.

    Args:
        calls: calls.
        for_each: value by parameter, such as `site_id`.
        ids: ids of all entries of the parameter's dictionary, by parameter.
    """

    def belongs(call: Call, name: str, value: Any) -> bool:
        known = ids[name]
        return bool(call[name] == value if name in call else known and known[call["id"] % len(known)] == value)

    return [call for call in calls if all(belongs(call, name, value) for name, value in for_each.items())]


def derived(report: Report, call: Call) -> Iterator[Row]:
    """The rows of a report that belong to one call, with all fields of the report.

    Args:
        report: a report other than `calls` and `campaign_daily_stat`.
        call: the call.
    """
    if report.name not in MAKERS:
        yield default_row(report, call)
        return
    shared = {name: call.get(name, [] if field.type == LIST else None) for name, field in report.fields.items()}
    shared[report.cursor] = call["start_time"]
    for row in MAKERS[report.name](call):
        yield {**shared, **row}


def default_row(report: Report, call: Call) -> Row:
    """The row of a report without a maker: values of the call where it has the field, default values elsewhere.

    The cursor is the call's start. The key is unique and follows from the call's id and the report's name.
    """
    time: str = call["start_time"]
    seed = f"{report.name} {call['id']}"
    row = {
        name: call[name] if name in call and fits(field, call[name]) else default_value(field, seed, time)
        for name, field in report.fields.items()
    }
    row[report.cursor] = time[:10] if report.cursor_field.type == DAY else time
    key = _unique_field(report, call)
    if key:
        row[key] = _unique_value(report, key, call["id"])
    return row


def _unique_field(report: Report, call: Call) -> str | None:
    """The field that makes a row unique: the primary key, or a part of it if the source computes the key."""
    if report.primary_key in report.fields:
        return report.primary_key
    parts = [
        name
        for name in report.key_of
        if name not in (report.cursor, *report.for_each)
        and report.fields[name].type in ("bigint", "text")
        and not report.fields[name].values
    ]
    parts.sort(key=lambda name: name in call)  # a field of the call is the last choice: it would not join any more
    return parts[0] if parts else None


def _unique_value(report: Report, key: str, call_id: int) -> int | str:
    if report.fields[key].type != "bigint":
        return f"{report.name}-{call_id}"
    # below 2**53, so that every JSON parser keeps it exact
    return (100 + stable_number(report.name) % 800) * MOST_CALL_IDS + call_id


def daily_stat(report: Report, site_id: int, calls: Iterable[Call]) -> Iterator[Row]:
    """The rows of `campaign_daily_stat` for one site: one per day, advertising campaign and keyword.

    Args:
        report: the report.
        site_id: the site.
        calls: calls of whole days, by time.
    """

    def group_key(call: Call) -> list[str]:
        return [call["start_time"][:10], str(call["campaign_id"]), call["search_query"] or ""]

    paid = [call for call in calls if call["site_id"] == site_id and call["utm_medium"] == "cpc"]
    for (day, _, keyword), group in groupby(sorted(paid, key=group_key), group_key):
        grouped = list(group)
        first, count = grouped[0], len(grouped)
        clicks = 7 * count + first["campaign_id"] % 5
        yield {
            **{name: [] if field.type == LIST else None for name, field in report.fields.items()},
            **{name: first[name] for name in ("site_id", "site_domain_name", "campaign_id", "campaign_name")},
            "date": day,
            "campaign_ext_id": str(90_000_000 + first["campaign_id"]),
            "campaign_ext_name": first["utm_campaign"],
            "engine": "google.adwords" if first["utm_source"] == "google" else "yandex.direct",
            "banner_group_id": str(80_000_000 + first["campaign_id"]),
            "keyword_id": str(len(keyword)) if keyword else None,
            "keyword": keyword or None,
            "cost_sum": f"{clicks * 41.5:.2f}",  # the API sends it as text
            "shows_count": clicks * 30,
            "clicks_count": clicks,
            "visits_count": clicks,
            "calls_count": count,
            "current_banner_id": 70_000_000 + first["campaign_id"],  # a number in CoMagic, a text in CallGear
            "daily_budget": 15_000.0,
            "currency": "RUB",
            "session_ids": [call["visitor_session_id"] for call in grouped],
            "communications": [
                {
                    "communication_type": "call",
                    "communication_id": call["id"],
                    "attributes": call["attributes"],
                    "tags": call["tags"],
                }
                for call in grouped
            ],
        }


def _phone_number(call: Call) -> str | None:
    """The caller's phone number as visitors may write it: with a plus, with a leading zero, or in digits."""
    number = call["contact_phone_number"]
    return number and f"{('+', '00', '')[stable_number('phone', call['id']) % 3]}{number}"


def _rating(call: Call) -> float:
    """A rating of 1 to 5, in halves."""
    return 1 + stable_number("rating", call["id"]) % 9 / 2


def _call_legs(call: Call) -> list[Row]:
    leg = {"call_session_id": call["id"], "duration": call["total_duration"], "is_failed": False}
    return [
        {**leg, "id": call["id"] * 10, "is_operator": False, "calling_phone_number": call["contact_phone_number"]},
        {
            **leg,
            "id": call["id"] * 10 + 1,
            "is_operator": True,
            "is_talked": not call["is_lost"],
            "connect_time": None if call["is_lost"] else call["finish_time"],
            "employee_id": call["employees"][0]["employee_id"],
            "employee_full_name": call["employees"][0]["employee_full_name"],
            "employee_rating": None if call["is_lost"] else _rating(call),
        },
    ]


def _financial_call_legs(call: Call) -> list[Row]:
    charge = {"cost_per_minute": 1.75, "total_charge": round(call["total_duration"] / 60 * 1.75, 2)}
    return [{"leg_id": call["id"] * 10, "call_session_id": call["id"], "duration": call["total_duration"], **charge}]


def _goals(call: Call) -> list[Row]:
    goal = {"id": GOALS + call["id"], "communication_id": GOALS + call["id"], "communication_type": "goal"}
    return [{**goal, "name": "Заявка на показ", "type": "cs_custom"}] if call["id"] % 4 == 0 else []


def _chats(call: Call) -> list[Row]:
    chat = {"id": CHATS + call["id"], "communication_id": CHATS + call["id"], "communication_type": "chat"}
    channel = {"chat_channel_id": CHANNEL[0], "chat_channel_name": CHANNEL[1], "messages_count": 3, "status": "succeed"}
    visitor = {
        "visitor_ids": [call["visitor_id"]],
        "visitor_phone_number": _phone_number(call),
        "employee_raiting": _rating(call),
    }
    return [{**chat, **channel, **visitor}] if call["id"] % 5 == 0 else []


def _chat_messages(call: Call) -> list[Row]:
    texts = ("Здравствуйте! Есть двушки? 🏠", "Добрый день, есть.", 'Спасибо,\n"жду" звонка')
    return [
        {
            "id": chat["id"] * 10 + index,
            "chat_id": chat["id"],
            "channel_id": CHANNEL[0],
            "text": text,
            "source": "visitor",
        }
        for chat in _chats(call)
        for index, text in enumerate(texts)
    ]


def _offline_messages(call: Call) -> list[Row]:
    message = {
        "id": MESSAGES + call["id"],
        "communication_id": MESSAGES + call["id"],
        "text": "Перезвоните мне",
        "visitor_phone_number": _phone_number(call),
    }
    return [{**message, "communication_type": "offline_message"}] if call["id"] % 7 == 0 else []


def _communications(call: Call) -> list[Row]:
    others = [*_goals(call), *_chats(call), *_offline_messages(call)]
    return [{"id": call["id"]}, *({name: other[name] for name in ("id", "communication_type")} for other in others)]


def _visitor_sessions(call: Call) -> list[Row]:
    hits = [{"hit_time": call["start_time"], "hit_duration": "30", "hit_url": call["entrance_page"]}]
    communication = {
        "communication_id": call["id"],
        "communication_type": "call",
        "communication_date_time": call["start_time"],
    }
    return [{"id": call["visitor_session_id"], "hits_count": 1, "hits": hits, "communications": [communication]}]


MAKERS: Mapping[str, Callable[[Call], list[Row]]] = {
    "call_legs": _call_legs,
    "financial_call_legs": _financial_call_legs,
    "communications": _communications,
    "goals": _goals,
    "chats": _chats,
    "chat_messages": _chat_messages,
    "offline_messages": _offline_messages,
    "visitor_sessions": _visitor_sessions,
}
"""Reports whose rows have to agree with the calls and with other reports: the rows that one call brings."""
