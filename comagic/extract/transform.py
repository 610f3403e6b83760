"""Turns rows of the API into rows for dlt: aware times, the local day, no nulls, no personal data that is unwanted."""

from datetime import datetime, tzinfo
from typing import Any, Dict, List, Mapping, Sequence, Tuple

from ..api.responses import wall_time_of
from ..catalog import DAY, LIST, OBJECT, TIME, Field, Resource
from ..exceptions import BadAnswerError
from .privacy import Privacy

Row = Dict[str, Any]


class RowShaper:
    """Shapes the rows of one resource, before anything of them is written to a disk.

    - Times become aware, in the account's zone; a time that the clocks show twice is taken as the earlier.
    - Days become dates.
    - `partition_date` is the local day of a report's cursor.
    - Nulls are left out, in rows and in the objects of their lists: every column is typed from the catalog, so it
      exists and stays null, a list that is null clears its child rows as an empty one does, and dlt has less to do.
    - Fields that are excluded go, even if the API sends them unasked; others become pseudonyms.

    Args:
        resource: the report or dictionary.
        zone: the account's zone.
        privacy: what is left out or replaced.
    """

    def __init__(self, resource: Resource, zone: tzinfo, privacy: Privacy = Privacy()) -> None:  # noqa: B008  # is frozen
        self._resource = resource
        self._zone = zone
        self._privacy = privacy
        self._shape = _Shape(resource.fields, privacy)
        self._nested = {
            of.name: _Shape(of.children, privacy, f"{of.name}.")
            for of in resource.fields.values()
            if of.type in (LIST, OBJECT) and not privacy.excludes(of.name)
        }

    def shape(self, rows: Sequence[Row]) -> List[Row]:
        """Returns the rows shaped, in the same order."""
        return [self._shaped(row) for row in rows]

    def _shaped(self, row: Row) -> Row:
        shaped = self._plain(row, self._shape)
        for name, shape in self._nested.items():
            if name in shaped:
                is_list = self._resource.fields[name].type == LIST
                shaped[name] = (self._items if is_list else self._object)(name, shaped[name], shape)
        if self._resource.cursor:
            moment = shaped[self._resource.cursor]
            shaped["partition_date"] = moment.date() if isinstance(moment, datetime) else moment
        return shaped

    def _object(self, name: str, value: Any, shape: "_Shape") -> Row:
        if not isinstance(value, dict):
            raise BadAnswerError(f"{self._resource.method}: {name} is a {type(value).__name__}, not an object.")
        return self._plain(value, shape)

    def _items(self, name: str, items: Any, shape: "_Shape") -> List[Any]:
        if not isinstance(items, list):
            raise BadAnswerError(f"{self._resource.method}: {name} is a {type(items).__name__}, not a list.")
        if name in self._privacy.pseudonymized:
            return [self._privacy.pseudonym(item) for item in items if item is not None]
        if not self._resource.fields[name].children:
            return [item for item in items if item is not None]
        for item in items:
            if item is not None and not isinstance(item, dict):
                raise BadAnswerError(f"{self._resource.method}: {name} holds a {type(item).__name__}, not an object.")
        return [self._plain(item, shape) for item in items if item is not None]

    def _plain(self, row: Row, shape: "_Shape") -> Row:
        """A row or an object without what is null or unwanted, its times aware, its pseudonyms in place."""
        shaped = {name: value for name, value in row.items() if value is not None and name not in shape.excluded}
        for name in shape.times:
            if name in shaped:
                shaped[name] = wall_time_of(self._resource.method, shaped, name).replace(tzinfo=self._zone)
        for name in shape.days:
            if name in shaped:
                shaped[name] = wall_time_of(self._resource.method, shaped, name).date()
        for name in shape.pseudonymized:
            if name in shaped:
                shaped[name] = self._privacy.pseudonym(shaped[name])
        return shaped


class _Shape:
    """Which fields of a row, or of a list's objects, are times or days, left out or replaced."""

    def __init__(self, fields: Mapping[str, Field], privacy: Privacy, prefix: str = "") -> None:
        scalars = [name for name, of in fields.items() if of.type not in (LIST, OBJECT)]
        self.times = [name for name in scalars if fields[name].type == TIME]
        self.days = [name for name in scalars if fields[name].type == DAY]
        self.excluded = {name for name in fields if privacy.excludes(prefix + name)}
        self.pseudonymized: Tuple[str, ...] = tuple(
            name for name in scalars if prefix + name in privacy.pseudonymized and name not in self.excluded
        )
