"""Turns rows of the API into rows for dlt: aware times, the local day, no nulls, no unwanted personal data."""

from collections.abc import Mapping, Sequence
from datetime import datetime, tzinfo
from typing import Any

from ..api.responses import parse_local_time
from ..catalog import DAY, LIST, OBJECT, TIME, Field, Resource
from ..exceptions import BadResponseError
from .privacy import Privacy

Row = dict[str, Any]


class RowTransformer:
    """Transforms the rows of one resource, before anything of them is written to a disk.

    - Times become aware, in the account's time zone; a time that exists twice is taken as the earlier one.
    - Days become dates.
    - `partition_date` is the local day of a report's cursor.
    - Nulls are removed, from rows and from the objects of their lists: every column is typed from the catalog, so it
      exists and stays null; a list that is null clears its child rows as an empty one does; and dlt has less to do.
    - Excluded fields are removed, even if the API sends them unrequested; others are replaced by pseudonyms.

    Args:
        resource: the report or dictionary.
        zone: the account's time zone.
        privacy: what is removed or replaced.
    """

    def __init__(self, resource: Resource, zone: tzinfo, privacy: Privacy = Privacy()) -> None:  # noqa: B008  # is frozen
        self._resource = resource
        self._zone = zone
        self._privacy = privacy
        self._shape = _Shape(resource.fields, privacy)
        self._nested = {
            field.name: _Shape(field.children, privacy, f"{field.name}.")
            for field in resource.fields.values()
            if field.type in (LIST, OBJECT) and not privacy.excludes(field.name)
        }

    def transform(self, rows: Sequence[Row]) -> list[Row]:
        """Returns the rows transformed, in the same order."""
        return [self._transform(row) for row in rows]

    def _transform(self, row: Row) -> Row:
        done = self._flat(row, self._shape)
        for name, shape in self._nested.items():
            if name in done:
                is_list = self._resource.fields[name].type == LIST
                done[name] = (self._items if is_list else self._object)(name, done[name], shape)
        if self._resource.cursor:
            moment = done[self._resource.cursor]
            done["partition_date"] = moment.date() if isinstance(moment, datetime) else moment
        return done

    def _object(self, name: str, value: Any, shape: "_Shape") -> Row:
        if not isinstance(value, dict):
            raise BadResponseError(f"{self._resource.method}: {name} is a {type(value).__name__}, not an object.")
        return self._flat(value, shape)

    def _items(self, name: str, items: Any, shape: "_Shape") -> list[Any]:
        if not isinstance(items, list):
            raise BadResponseError(f"{self._resource.method}: {name} is a {type(items).__name__}, not a list.")
        if name in self._privacy.pseudonymized:
            return [self._privacy.pseudonym(item) for item in items if item is not None]
        if not self._resource.fields[name].children:
            return [item for item in items if item is not None]
        for item in items:
            if item is not None and not isinstance(item, dict):
                raise BadResponseError(f"{self._resource.method}: {name} has a {type(item).__name__}, not an object.")
        return [self._flat(item, shape) for item in items if item is not None]

    def _flat(self, row: Row, shape: "_Shape") -> Row:
        """A row or an object without nulls and excluded fields, its times aware, its pseudonyms in place."""
        done = {name: value for name, value in row.items() if value is not None and name not in shape.excluded}
        for name in shape.times:
            if name in done:
                done[name] = parse_local_time(self._resource.method, done, name).replace(tzinfo=self._zone)
        for name in shape.days:
            if name in done:
                done[name] = parse_local_time(self._resource.method, done, name).date()
        for name in shape.pseudonymized:
            if name in done:
                done[name] = self._privacy.pseudonym(done[name])
        return done


class _Shape:
    """Which fields of a row, or of a list's objects, are times or days, removed or replaced."""

    def __init__(self, fields: Mapping[str, Field], privacy: Privacy, prefix: str = "") -> None:
        scalars = [name for name, field in fields.items() if field.type not in (LIST, OBJECT)]
        self.times = [name for name in scalars if fields[name].type == TIME]
        self.days = [name for name in scalars if fields[name].type == DAY]
        self.excluded = {name for name in fields if privacy.excludes(prefix + name)}
        self.pseudonymized = [
            name for name in scalars if prefix + name in privacy.pseudonymized and name not in self.excluded
        ]
