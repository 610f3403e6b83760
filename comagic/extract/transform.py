"""Turns rows of the API into rows for dlt: typed values, aware times, the local day, no nulls, no personal data."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo
from hashlib import blake2b
from typing import Any

import orjson

from ..catalog import LIST, OBJECT, PARTITION_DATE, ROW_HASH, Field, Resource
from .convert import MAX_INTEGER, MIN_INTEGER, Unconvertible, converters, shorten, storable, to_text
from .privacy import Privacy
from .unknown_keys import VARIANT as VARIANT
from .unknown_keys import UnknownKeys

Row = dict[str, Any]

MAX_PROBLEMS = 5
"""Values that do not fit and rows that are rejected: how many of them are named."""
NO_OBJECT = "since it is not an object, and may be a field that is not loaded or replaced"
JSON_TYPES: Mapping[str, type] = {"text": str, "bigint": int, "double": float, "bool": bool}
"""Types of JSON values that need no conversion."""


@dataclass(frozen=True)
class Misfit:
    """A value that does not fit the type of its column, and is kept as text in a column beside it.

    Attributes:
        field: the field, `list.field` for a list's objects.
        row_id: key of the row, cut short.
        value: the value, as JSON, cut short.
    """

    field: str
    row_id: str
    value: str

    @property
    def place(self) -> str:
        """Field and row, without the value, which can be personal data."""
        return f"{self.field} of {self.row_id}"

    def __str__(self) -> str:
        return f"{self.place} is {self.value}"


@dataclass(frozen=True)
class Misfits:
    """Values that do not fit their columns.

    Attributes:
        number: how many there are.
        first: the first of them.
    """

    number: int = 0
    first: Sequence[Misfit] = ()


def content_hash(value: Any) -> int:
    """A signed integer of 64 bits made of a row or rows with their lists; the order of keys does not matter."""
    content = orjson.dumps(value, default=str, option=orjson.OPT_SORT_KEYS)
    return int.from_bytes(blake2b(content, digest_size=8).digest(), signed=True)


class RowTransformer:
    """Transforms the rows of one resource, before anything of them is written to a disk.

    - Values are converted to the catalog's types where nothing is lost. A value that does not fit is kept as text in
      the column `field__v_text`, and reported.
    - Lists and objects of another shape than declared are loaded as they come: an object or a scalar where a list is
      declared is a list of one, a scalar among objects is in the child table's column `value`.
    - Times become aware, in the account's time zone; a time that exists twice is taken as the earlier one.
    - `partition_date` is the local day of a report's cursor, `row_hash` tells whether a row has changed.
    - Nulls are removed, from rows and from the objects of their lists: every column is typed from the catalog, so it
      exists and stays null; a list that is null clears its child rows as an empty one does; and dlt has less to do.
    - Excluded fields are removed, even if the API sends them unrequested; others are replaced by pseudonyms.
    - Keys that the catalog does not have become columns, unless their column is another's; see `unknown_keys`.

    Args:
        resource: the report or dictionary.
        zone: the account's time zone.
        privacy: what is removed or replaced.
        parameters: names of what was requested beside the fields; rows carry them.
        unknown: the unknown keys of all the load's rows of the resource.

    Attributes:
        misfits: the first values that did not fit since they were taken.
    """

    def __init__(
        self,
        resource: Resource,
        zone: tzinfo,
        privacy: Privacy = Privacy(),  # noqa: B008  # is frozen
        parameters: Collection[str] = (),
        unknown: UnknownKeys | None = None,
    ) -> None:
        self.unknown = unknown or UnknownKeys(resource, privacy)
        self._own = frozenset([*parameters, *resource.computed])
        self.misfits: list[Misfit] = []
        self._misfit_number = 0
        self._resource = resource
        self._zone = zone
        self._privacy = privacy
        self._converters = converters(zone)
        self._shape = _Shape(resource.fields, privacy)
        self._children = {
            field.name: _Shape(field.children, privacy, field)
            for field in resource.fields.values()
            if field.type in (LIST, OBJECT)
        }
        self._row_id: Any = None

    def transform(self, rows: Sequence[Row]) -> list[Row]:
        """Returns the rows transformed, in the same order."""
        return [self._transform(row) for row in rows]

    def redact_to_json(self, row: Row) -> str:
        """A row as it came, as JSON, without what is excluded and with pseudonyms, for rows that cannot be loaded."""
        return to_text({name: self._redact_field(name, row[name]) for name in sorted(row) if self._is_kept(name)})

    def take_misfits(self) -> Misfits:
        """The values that did not fit since the last call."""
        taken = Misfits(self._misfit_number, tuple(self.misfits))
        self.misfits, self._misfit_number = [], 0
        return taken

    @property
    def has_met_oddities(self) -> bool:
        """Whether any value did not fit since they were taken, or any key was unknown."""
        return bool(self.misfits or self.unknown.has_met_any)

    def _transform(self, row: Row) -> Row:
        self._row_id = row.get(self._resource.primary_key)
        done = self._flat(row, self._shape)
        if self._resource.cursor:
            moment = done[self._resource.cursor]
            if self._resource.cursor in self._own:  # added to rows that do not have it
                moment = done[self._resource.cursor] = self._converters[self._resource.cursor_field.type](moment)
            done[PARTITION_DATE] = moment.astimezone(self._zone).date() if isinstance(moment, datetime) else moment
        if ROW_HASH in self._resource.computed:
            done[ROW_HASH] = content_hash(done)
        return done

    def _flat(self, row: Row, shape: "_Shape") -> Row:
        """A row, or an object in it, with its values typed, without nulls and excluded fields."""
        done, kinds = {}, shape.json_types
        for name, value in row.items():
            if value is None:
                continue
            kind = kinds.get(name)
            if kind is type(value) and (kind is not int or MIN_INTEGER <= value <= MAX_INTEGER):  # type: ignore[operator]
                done[name] = value
            elif name not in shape.excluded:
                self._set(done, name, value, shape)
        return done

    def _set(self, done: Row, name: str, value: Any, shape: "_Shape") -> None:
        """Sets a field whose value needs a closer look."""
        field = shape.fields.get(name)
        if field is None and name in self._own and not shape.prefix:
            done[name] = value
        elif field is None:
            done |= self.unknown.clean(name, value, shape.table, shape.parent)
        elif field.type == LIST:
            done[name] = self._list(field, value)
        elif field.type == OBJECT and isinstance(value, dict):
            done[name] = self._flat(value, self._children[name])
        elif field.type == OBJECT and self._children[name].has_private:
            self.unknown.drop((name,), NO_OBJECT)
        elif name in shape.pseudonymized:
            done[name] = self._privacy.pseudonym(to_text(value))
        else:
            self._set_scalar(done, field, value, shape.prefix)

    def _set_scalar(self, done: Row, field: Field, value: Any, prefix: str = "") -> None:
        if isinstance(value, (dict, list)):
            value = self.unknown.without_private(value, (prefix + field.name,))
        try:
            if field.type == OBJECT:
                raise Unconvertible
            done[field.name] = self._converters[field.type](value)
        except Unconvertible:
            done[VARIANT.format(name=field.name)] = to_text(value)
            self._misfit_number += 1
            if len(self.misfits) < MAX_PROBLEMS:
                self.misfits.append(Misfit(prefix + field.name, shorten(self._row_id), shorten(value)))

    def _list(self, field: Field, value: Any) -> list[Any]:
        """The items of a list, whatever shape it has."""
        if value == []:
            return []
        items = [item for item in (value if isinstance(value, list) else [value]) if item is not None]
        if field.name in self._privacy.pseudonymized:
            return [self._privacy.pseudonym(to_text(item)) for item in items]
        if field.items is not None:
            if field.items.type == "text" and all(type(item) is str for item in items):
                return items
            return [self._scalar_item(field, field.items, item) for item in items]
        shape = self._children[field.name]
        if field.scalar:
            items = [item if isinstance(item, (dict, list)) else {field.scalar: item} for item in items]
        return [self._flat(item, shape) if isinstance(item, dict) else self._stray(item, shape) for item in items]

    def _scalar_item(self, field: Field, scalar: Field, item: Any) -> Any:
        """An item of a list of scalars: the scalar itself, or an object for what does not fit."""
        done: Row = {}
        self._set_scalar(done, scalar, item, f"{field.name}.")
        return done.get(scalar.name, done)

    def _stray(self, item: Any, shape: "_Shape") -> Row:
        """A scalar among objects; dropped where some of their fields are private, since it may be one of these."""
        if not shape.has_private:
            return {"value": to_text(self.unknown.without_private(item, shape.table))}
        self.unknown.drop((*shape.table, "value"), NO_OBJECT)
        return {}

    def _is_kept(self, name: str) -> bool:
        is_known = name in self._shape.fields or name in self._own
        return name not in self._shape.excluded and (is_known or not self.unknown.is_private((name,)))

    def _redact_field(self, name: str, value: Any) -> Any:
        if name in self._privacy.pseudonymized and value is not None:
            items = value if isinstance(value, list) else [value]
            replaced = [self._privacy.pseudonym(to_text(item)) for item in items if item is not None]
            return replaced if isinstance(value, list) else replaced[0]
        shape = self._children.get(name)
        if shape is None or not shape.has_private:
            return storable(self.unknown.without_private(value, (name,)))
        items = value if isinstance(value, list) else [value]
        return [self._redact_object(item, shape) for item in items if isinstance(item, dict)]

    def _redact_object(self, item: Row, shape: "_Shape") -> Row:
        return {
            name: self._privacy.pseudonym(to_text(value))
            if name in shape.pseudonymized and value is not None
            else self.unknown.without_private(value, (shape.prefix + name,))
            for name, value in item.items()
            if name not in shape.excluded and (name in shape.fields or not self.unknown.is_private((name,)))
        }


class _Shape:
    """The fields of a row, or of a list's objects: which need a conversion, are excluded or replaced."""

    def __init__(self, fields: Mapping[str, Field], privacy: Privacy, owner: Field | None = None) -> None:
        self.fields = fields
        self.prefix = prefix = f"{owner.name}." if owner else ""
        self.table = (owner.name,) if owner and owner.type == LIST else ()
        self.parent = (owner.name,) if owner and owner.type == OBJECT else ()
        self.excluded = {name for name in fields if privacy.excludes(prefix + name)}
        self.pseudonymized = {
            name
            for name, field in fields.items()
            if field.type not in (LIST, OBJECT) and prefix + name in privacy.pseudonymized
        } - self.excluded
        self.has_private = bool(self.excluded or self.pseudonymized)
        self.json_types = {
            name: JSON_TYPES[field.type]
            for name, field in fields.items()
            if field.type in JSON_TYPES and name not in self.excluded | self.pseudonymized
        }
