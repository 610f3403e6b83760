"""What a section of the report is, and what the makers of sections have in common."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ...load.figures import Figures
from . import options
from .language import Language
from .names import Names
from .options import PLAIN, STRIPES, Option

Row = Mapping[str, Any]
HEIGHT = 320


@dataclass(frozen=True)
class Section:
    """A section with a chart.

    Attributes:
        name: its anchor.
        title: its title.
        lead: what the chart says, in a sentence; may be empty.
        note: how to read it; may be empty.
        option: ECharts' options.
        height: the chart's height in pixels.
        columns: titles of the table's columns; the first one is of texts, and as many as `texts` says.
        rows: the table's cells.
        texts: number of columns that are no numbers.
    """

    name: str
    title: str
    lead: str
    note: str
    option: Option
    height: int
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    texts: int = 1


class Maker:
    """Makes sections of a report.

    Args:
        figures: the figures.
        language: the language of the texts.
        names: shows names from the data.
    """

    def __init__(self, figures: Figures, language: Language, names: Names) -> None:
        self._figures, self._language, self._names = figures, language, names
        self._text, self._number, self._percent = language.text, language.number, language.percent

    def _section(self, name: str, option: Option, titles: str, rows: Sequence[Sequence[str]], **more: Any) -> Section:
        """A section whose texts are named after it; `titles` are the texts of the table's columns."""
        given = {"lead": "", "note": "", "height": HEIGHT, "title": self._text(f"{name}_title"), **more}
        return Section(name, option=option, columns=[self._text(one) for one in titles.split()], rows=rows, **given)

    def _calls_and_missed(self, rows: Sequence[Row], whole: str = "calls", answered: str = "answered") -> list[Option]:
        """Bars of calls, missed ones apart where they are known."""
        if any(row["missed"] is None for row in rows):
            name = "c_calls" if whole == "calls" else f"c_{whole}"
            return [options.series(self._text(name), [row[whole] for row in rows], "$calls", PLAIN)]
        others = [(row[whole] or 0) - row["missed"] for row in rows]
        return [
            options.series(self._text(answered), others, "$calls", PLAIN),
            options.series(self._text("missed"), [row["missed"] for row in rows], "$missed", STRIPES),
        ]

    def _numbers(self, row: Row, *names: str) -> list[str]:
        return [self._number(row[name]) for name in names]

    def _missed(self, row: Row) -> str:
        if row["missed"] is None or not row["incoming"]:
            return self._percent(None)
        return self._percent(row["missed"] / row["incoming"])

    def _others(self, found: Sequence[Row]) -> str:
        most = found[0]["found"]
        return self._text("and_others", shown=len(found), found=self._number(most)) if most > len(found) else ""
