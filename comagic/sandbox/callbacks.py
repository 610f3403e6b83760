"""What a company does about missed calls: it calls some of the callers back, soon, later, or the next morning."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

from .account import SyntheticAccount
from .calls import Call

OPENS, CLOSES = 9, 21
"""Working hours."""
CALLED_BACK, REACHED = 65, 85
"""Of a hundred missed calls so many are called back, and of a hundred callbacks so many are answered."""
KEPT = ("contact_phone_number", "visitor_id", "employees", "virtual_phone_number")
"""What a callback has in common with the missed call, besides where the caller came from."""


def add_callbacks(account: SyntheticAccount, start: datetime, end: datetime) -> None:
    """Adds callbacks to an account's missed calls, the same ones each time.

    Args:
        account: the account.
        start: first moment, in local time.
        end: the moment after the last; no callback is later.
    """
    for at, fields in list(_callbacks(account, start, end)):
        account.upload(at, **fields)


def _callbacks(account: SyntheticAccount, start: datetime, end: datetime) -> Iterator[tuple[datetime, dict[str, Any]]]:
    for call in account.calls(start, end, end):
        bits = call["id"] * 2654435761 >> 7
        if not call["is_lost"] or bits % 100 >= CALLED_BACK:
            continue
        at = _moment(datetime.fromisoformat(call["finish_time"]), bits >> 8)
        if at < end:
            yield at, _callback(call, at, is_reached=(bits >> 24) % 100 < REACHED, talk=20 + (bits >> 16) % 400)


def _moment(finished: datetime, bits: int) -> datetime:
    """When somebody calls back: within minutes, an hour or hours; after hours, on the next morning."""
    longest = (4, 18, 55, 300)[bits % 4]
    at = finished + timedelta(seconds=60 + (bits >> 4) % (60 * longest))
    if OPENS <= at.hour < CLOSES:
        return at
    morning = at.replace(hour=OPENS, minute=bits % 50, second=bits % 60)
    return morning if at.hour < OPENS else morning + timedelta(days=1)


def _callback(call: Call, at: datetime, is_reached: bool, talk: int) -> dict[str, Any]:
    talk = talk if is_reached else 0
    came_from = {name: value for name, value in call.items() if name.startswith(("utm_", "campaign_", "channel"))}
    wait = 12
    return {
        **came_from,
        **{name: call[name] for name in KEPT},
        "direction": "out",
        "is_lost": not is_reached,
        "finish_time": (at + timedelta(seconds=wait + talk)).isoformat(" "),
        "wait_duration": wait,
        "total_wait_duration": wait,
        "talk_duration": talk,
        "clean_talk_duration": talk,
        "total_duration": wait + talk,
        "lost_call_processing_duration": None,
        "tags": [],
        "attributes": [],
    }
