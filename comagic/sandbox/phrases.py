"""What was said in the calls of the synthetic account."""

from datetime import datetime, timedelta
from typing import Any

from .calls import API_TIME, Call

LINES = (
    ("Добрый день, новые кварталы", True),
    ("Здравствуйте, сколько стоит двухкомнатная квартира?", False),
    ("От девяти миллионов, записать вас на показ?", True),
    ("Да, на субботу", False),
)


def phrases_of(call: Call) -> list[dict[str, Any]]:
    """The phrases of a call that was recorded; none for every seventh, which was not recognized."""
    if not call["call_records"] or call["id"] % 7 == 0:
        return []
    start = datetime.strptime(call["start_time"], API_TIME)
    return [
        {
            "id": call["id"] * 10 + nth,
            "ext_id": None,
            "speech_id": call["id"] * 10 + is_operator,
            "phrase": phrase,
            "start_time": f"{start + timedelta(seconds=4 * nth):%H:%M:%S}",
            "is_operator": is_operator,
            "edited_phrase": None,
        }
        for nth, (phrase, is_operator) in enumerate(LINES[: 2 + call["id"] % 3])
    ]
