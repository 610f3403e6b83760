"""The other reports of the synthetic account, made from its calls, so that they agree with them and with each other.

Each call has two legs, one of them charged, and belongs to a site visit; some visits reach a goal, hold a chat or leave
an offline message, at the moment of their call.
"""

from itertools import groupby
from typing import Any, Callable, Dict, Iterable, Iterator, List, Mapping

from ..catalog import LIST, Report
from .vocabulary import CHANNEL

Row = Dict[str, Any]

GOALS, CHATS, MESSAGES = 2_000_000_000_000, 3_000_000_000_000, 4_000_000_000_000
"""Ids of goals, chats and offline messages begin here, so that those of communications do not meet."""


def derived(report: Report, call: Row) -> Iterator[Row]:
    """The rows of a report that belong to a call, with all fields of the report.

    Args:
        report: a report other than `calls` and `campaign_daily_stat`.
        call: the call.
    """
    same = {name: call.get(name, [] if of.type == LIST else None) for name, of in report.fields.items()}
    if "date_time" in same:
        same["date_time"] = call["start_time"]
    for row in MAKERS[report.name](call):
        yield {**same, **row}


def daily_stat(report: Report, site_id: int, calls: Iterable[Row]) -> Iterator[Row]:
    """The rows of `campaign_daily_stat` for one site: one a day, campaign of an advertising system and keyword.

    Args:
        report: the report.
        site_id: the site.
        calls: calls of whole days, by time.
    """

    def about(call: Row) -> List[str]:
        return [call["start_time"][:10], str(call["campaign_id"]), call["search_query"] or ""]

    paid = [call for call in calls if call["site_id"] == site_id and call["utm_medium"] == "cpc"]
    for (day, _, keyword), group in groupby(sorted(paid, key=about), about):
        brought = list(group)
        one, count = brought[0], len(brought)
        clicks = 7 * count + one["campaign_id"] % 5
        yield {
            **{name: [] if of.type == LIST else None for name, of in report.fields.items()},
            **{name: one[name] for name in ("site_id", "site_domain_name", "campaign_id", "campaign_name")},
            "date": day,
            "campaign_ext_id": str(90_000_000 + one["campaign_id"]),
            "campaign_ext_name": one["utm_campaign"],
            "engine": "google.adwords" if one["utm_source"] == "google" else "yandex.direct",
            "banner_group_id": str(80_000_000 + one["campaign_id"]),
            "keyword_id": str(len(keyword)) if keyword else None,
            "keyword": keyword or None,
            "cost_sum": f"{clicks * 41.5:.2f}",
            "shows_count": clicks * 30,
            "clicks_count": clicks,
            "visits_count": clicks,
            "calls_count": count,
            "current_banner_id": 70_000_000 + one["campaign_id"],
            "daily_budget": 15_000.0,
            "currency": "RUB",
            "session_ids": [call["visitor_session_id"] for call in brought],
            "communications": [
                {
                    "communication_type": "call",
                    "communication_id": call["id"],
                    "attributes": call["attributes"],
                    "tags": call["tags"],
                }
                for call in brought
            ],
        }


def _legs(call: Row) -> List[Row]:
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
        },
    ]


def _charged(call: Row) -> List[Row]:
    charge = {"cost_per_minute": 1.75, "total_charge": round(call["total_duration"] / 60 * 1.75, 2)}
    return [{"leg_id": call["id"] * 10, "call_session_id": call["id"], "duration": call["total_duration"], **charge}]


def _goals(call: Row) -> List[Row]:
    reached = {"id": GOALS + call["id"], "communication_id": GOALS + call["id"], "communication_type": "goal"}
    return [{**reached, "name": "Заявка на показ", "type": "cs_custom"}] if call["id"] % 4 == 0 else []


def _chats(call: Row) -> List[Row]:
    chat = {"id": CHATS + call["id"], "communication_id": CHATS + call["id"], "communication_type": "chat"}
    channel = {"chat_channel_id": CHANNEL[0], "chat_channel_name": CHANNEL[1], "messages_count": 3, "status": "succeed"}
    return [{**chat, **channel, "visitor_ids": [f"wa-{call['visitor_id']}"]}] if call["id"] % 5 == 0 else []


def _chat_messages(call: Row) -> List[Row]:
    texts = ("Здравствуйте! Есть двушки? 🏠", "Добрый день, есть.", 'Спасибо,\n"жду" звонка')
    return [
        {
            "id": chat["id"] * 10 + nth,
            "chat_id": chat["id"],
            "channel_id": CHANNEL[0],
            "text": text,
            "source": "visitor",
        }
        for chat in _chats(call)
        for nth, text in enumerate(texts)
    ]


def _offline_messages(call: Row) -> List[Row]:
    message = {"id": MESSAGES + call["id"], "communication_id": MESSAGES + call["id"], "text": "Перезвоните мне"}
    return [{**message, "communication_type": "offline_message"}] if call["id"] % 7 == 0 else []


def _communications(call: Row) -> List[Row]:
    others = [*_goals(call), *_chats(call), *_offline_messages(call)]
    return [{"id": call["id"]}, *({name: of[name] for name in ("id", "communication_type")} for of in others)]


def _sessions(call: Row) -> List[Row]:
    hits = [{"hit_time": call["start_time"], "hit_duration": "30", "hit_url": call["entrance_page"]}]
    told = {"communication_id": call["id"], "communication_type": "call", "communication_date_time": call["start_time"]}
    return [{"id": call["visitor_session_id"], "hits_count": 1, "hits": hits, "communications": [told]}]


MAKERS: Mapping[str, Callable[[Row], List[Row]]] = {
    "call_legs": _legs,
    "financial_call_legs": _charged,
    "communications": _communications,
    "goals": _goals,
    "chats": _chats,
    "chat_messages": _chat_messages,
    "offline_messages": _offline_messages,
    "visitor_sessions": _sessions,
}
"""What a call brings to each report."""
