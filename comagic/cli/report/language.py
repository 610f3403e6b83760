"""The report's texts, and numbers, dates and plurals as each language writes them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from functools import cache
from pathlib import Path
from typing import Any

import yaml

TEXTS = Path(__file__).with_name("texts.yaml")

NO_BREAK = "\u00a0"
MINUS = "\u2212"

MONTHS: Mapping[str, Sequence[str]] = {
    "en": tuple("January February March April May June July August September October November December".split()),  # noqa: SIM905
    "ru": tuple("января февраля марта апреля мая июня июля августа сентября октября ноября декабря".split()),  # noqa: SIM905
}
MONTH_NAMES: Mapping[str, Sequence[str]] = {
    "en": MONTHS["en"],
    "ru": tuple("январь февраль март апрель май июнь июль август сентябрь октябрь ноябрь декабрь".split()),  # noqa: SIM905
}
SHORT_MONTHS: Mapping[str, Sequence[str]] = {
    "en": ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"),
    "ru": ("янв", "фев", "мар", "апр", "мая", "июн", "июл", "авг", "сен", "окт", "ноя", "дек"),
}
WEEKDAYS: Mapping[str, Sequence[str]] = {
    "en": ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"),
    "ru": ("понедельник", "вторник", "среда", "четверг", "пятница", "суббота", "воскресенье"),
}
SHORT_WEEKDAYS: Mapping[str, Sequence[str]] = {
    "en": ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"),
    "ru": ("пн", "вт", "ср", "чт", "пт", "сб", "вс"),
}


@cache
def _texts() -> Mapping[str, Mapping[str, Any]]:
    found: Mapping[str, Mapping[str, Any]] = yaml.safe_load(TEXTS.read_text("utf-8"))
    return {str(name): texts for name, texts in found.items()}


@dataclass(frozen=True)
class Language:
    """Texts and formats of a language.

    Attributes:
        code: `en` or `ru`.
    """

    code: str

    def text(self, name: str, **words: Any) -> str:
        """Returns a text with its words filled in."""
        return str(_texts()[name][self.code]).format(**words)

    def counted(self, number: int, name: str) -> str:
        """Returns a number with the form of a noun that goes with it: `1 call`, `2 calls`."""
        return f"{self.number(number)} {_texts()[name][self.code][self._form(number)]}"

    def _form(self, number: int) -> int:
        if self.code == "en":
            return int(abs(number) != 1)
        last, last_two = abs(number) % 10, abs(number) % 100
        if last == 1 and last_two != 11:
            return 0
        return 1 if last in (2, 3, 4) and last_two not in (12, 13, 14) else 2

    def number(self, value: float | None, digits: int = 0) -> str:
        """Returns a number: `1,234.5` or `1 234,5`; a dash for an unknown one."""
        if value is None:
            return "\u2013"
        shown = f"{abs(value):,.{digits}f}"
        if self.code == "ru":
            shown = shown.replace(",", NO_BREAK).replace(".", ",")
        return f"{MINUS}{shown}" if value < 0 and shown.strip("0.,") else shown

    def percent(self, share: float | None, digits: int = 1) -> str:
        """Returns a share, 0 to 1, in percent: `18.4%` or `18,4 %`."""
        if share is None:
            return "\u2013"
        return f"{self.number(100 * share, digits)}{NO_BREAK if self.code == 'ru' else ''}%"

    def money(self, value: float | None) -> str:
        """Returns an amount, in whole units from a hundred on."""
        return self.number(value, 0 if value is None or abs(value) >= 100 else 2)

    def minutes(self, seconds: float | None) -> str:
        """Returns a length as minutes and seconds, `3:07`."""
        if seconds is None:
            return "\u2013"
        whole = round(seconds)
        return f"{whole // 60}:{whole % 60:02}"

    def hours(self, seconds: float | None) -> str:
        """Returns a length as hours and minutes, `12:07`."""
        return self.minutes(None if seconds is None else seconds / 60)

    def day(self, day: date) -> str:
        """Returns a day: `30 November 2026`, `30 ноября 2026 г.`."""
        shown = f"{day.day}{NO_BREAK}{MONTHS[self.code][day.month - 1]} {day.year}"
        return f"{shown}{NO_BREAK}г." if self.code == "ru" else shown

    def weekday_and_day(self, day: date) -> str:
        """Returns a day at the beginning of a sentence: `Monday, 30 November 2026`."""
        return f"{self.weekday(day.isoweekday()).capitalize()}, {self.day(day)}"

    def day_of_month(self, day: date) -> str:
        """Returns a day without its year: `30 Nov`, `30 ноя`."""
        return f"{day.day}{NO_BREAK}{SHORT_MONTHS[self.code][day.month - 1]}"

    def short_day(self, day: date) -> str:
        """Returns a day for a table: `Mon, 30 Nov 2026`."""
        return f"{SHORT_WEEKDAYS[self.code][day.weekday()]}, {self.day_of_month(day)} {day.year}"

    def month(self, day: date) -> str:
        """Returns a month: `November 2026`, `ноябрь 2026`."""
        return f"{MONTH_NAMES[self.code][day.month - 1]} {day.year}"

    def period(self, since: date, until: date) -> str:
        """Returns a range of days, without repeating what both ends share."""
        if since == until:
            return self.day(since)
        first = str(since.day)
        if since.month != until.month or since.year != until.year:
            first += f"{NO_BREAK}{MONTHS[self.code][since.month - 1]}"
        if since.year != until.year:
            first += f" {since.year}"
            if self.code == "ru":
                first += f"{NO_BREAK}г."
        separator = "\u2013" if first.isdecimal() else " \u2013 "
        return f"{first}{separator}{self.day(until)}"

    def moment(self, moment: datetime) -> str:
        """Returns a local time to the minute: `30 November 2026, 10:12`."""
        return f"{self.day(moment.date())}, {moment:%H:%M}"

    def weekday(self, number: int, is_short: bool = False) -> str:
        """Returns the name of a weekday, 1 for Monday."""
        return (SHORT_WEEKDAYS if is_short else WEEKDAYS)[self.code][number - 1]

    @staticmethod
    def hour(hour: int) -> str:
        """Returns an hour as a range: `09:00–10:00`."""
        return f"{hour:02}:00\u2013{hour + 1:02}:00"
