"""The report's headline figures, each with its change against the period before."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ...load.figures import Figures
from .language import Language

Row = Mapping[str, Any]
SMALLEST = 0.0005
"""Changes below this share are shown as none."""


@dataclass(frozen=True)
class Headline:
    """One figure.

    Attributes:
        label: what it is.
        value: the figure.
        note: what it counts.
        change: how it has changed; empty if that is not known.
        was: the figure of the period before.
        verdict: `better`, `worse`, or empty where neither can be said.
    """

    label: str
    value: str
    note: str
    change: str = ""
    was: str = ""
    verdict: str = ""


def headlines(figures: Figures, language: Language) -> Iterator[Headline]:
    """Yields the figures that can be counted."""
    number, percent, money = language.number, language.percent, language.money
    measures: list[tuple[str, Callable[[Row], float | None], Callable[[float | None], str], int]] = [
        ("calls", lambda row: row.get("calls"), number, 1),
        ("missed", lambda row: row.get("missed"), number, -1),
        ("missed_share", lambda row: _ratio(row, "missed", "incoming"), percent, -1),
        ("recovered", lambda row: _ratio(row, "recovered", "missed"), percent, 1),
        ("never", lambda row: _ratio(row, "never_recovered", "missed"), percent, -1),
        ("first", lambda row: row.get("first_calls"), number, 1),
        ("target", lambda row: row.get("target"), number, 1),
        ("talk", lambda row: row.get("seconds_a_talk"), language.minutes, 0),
        ("cost", lambda row: row.get("cost"), money, 0),
        ("cost_per_call", lambda row: _ratio(row, "cost", "calls"), money, -1),
    ]
    for name, measure, show, good in measures:
        value = measure(figures.totals)
        if value is None:
            continue
        label, note = language.text(f"h_{name}"), language.text(f"n_{name}")
        before = measure(figures.before) if figures.before else None
        if before is None:
            yield Headline(label, show(value), note)
            continue
        change, direction = _change(value, before, show is percent, language)
        verdict = "" if not (good and direction) else "better" if good * direction > 0 else "worse"
        yield Headline(label, show(value), note, change, language.text("was", number=show(before)), verdict)


def _change(value: float, before: float, is_share: bool, language: Language) -> tuple[str, int]:
    """How a figure has changed, and in which direction."""
    difference = value - before
    relative = difference if is_share else difference / before if before else 0.0
    if abs(relative) < SMALLEST:
        return (language.text("change_none") if value == before or before else ""), 0
    shown = (
        language.text("points", number=language.number(100 * abs(difference), 1))
        if is_share
        else language.percent(abs(relative))
    )
    return language.text("change_up" if difference > 0 else "change_down", change=shown), 1 if difference > 0 else -1


def _ratio(row: Row, part: str, whole: str) -> float | None:
    if row.get(part) is None or not row.get(whole):
        return None
    return float(row[part]) / float(row[whole])
