"""Turns rows of the API into rows for dlt: aware times, the local day, no nulls."""

from datetime import datetime, tzinfo
from typing import Any, Dict, List

from comagic.catalog import LIST, TIME, Field, Report
from comagic.exceptions import BadAnswerError
from comagic.reading import Row


class RowShaper:
    """Shapes the rows of one report.

    - Times become aware, in the account's zone; a time that the clocks show twice is taken as the earlier.
    - `partition_date` is the local day of the cursor.
    - Nulls are left out, in rows and in the objects of their lists: every column is typed from the catalog, so it
      exists and stays null, a list that is null clears its child rows as an empty one does, and dlt has less to do.

    Args:
        report: the report.
        zone: the account's zone.
    """

    def __init__(self, report: Report, zone: tzinfo) -> None:
        self._report = report
        self._zone = zone
        self._times = [of.name for of in report.fields.values() if of.type == TIME]
        self._lists = {of.name: _times(of) for of in report.fields.values() if of.type == LIST}

    def shape(self, rows: List[Row]) -> List[Row]:
        """Returns the rows shaped, in the same order."""
        return [self._shaped(row) for row in rows]

    def _shaped(self, row: Row) -> Row:
        shaped = {name: value for name, value in row.items() if value is not None}
        for name in self._times:
            if name in shaped:
                shaped[name] = self._aware(name, shaped)
        for name, times in self._lists.items():
            if name in shaped:
                shaped[name] = [self._shaped_item(item, times) for item in self._items(name, shaped)]
        shaped["partition_date"] = shaped[self._report.cursor].date()
        return shaped

    def _shaped_item(self, item: Any, times: List[str]) -> Any:
        if not isinstance(item, dict):
            return item
        shaped = {name: value for name, value in item.items() if value is not None}
        for name in times:
            if name in shaped:
                shaped[name] = self._aware(name, shaped)
        return shaped

    def _items(self, name: str, of: Row) -> List[Any]:
        if not isinstance(of[name], list):
            raise BadAnswerError(f"{self._report.method}: {name} is {of[name]!r}, not a list.")
        return [item for item in of[name] if item is not None]

    def _aware(self, name: str, of: Dict[str, Any]) -> datetime:
        try:
            moment = datetime.fromisoformat(of[name])
            return moment if moment.tzinfo else moment.replace(tzinfo=self._zone)
        except (TypeError, ValueError):
            raise BadAnswerError(f"{self._report.method}: {name} is {of[name]!r}, not YYYY-MM-DD HH:MM:SS.") from None


def _times(of: Field) -> List[str]:
    return [child.name for child in of.children.values() if child.type == TIME]
