"""Keys that the API sends and the catalog does not have: which of them become columns.

dlt folds names: `User ID`, `userId` and `user_id` are one column. So an unknown key could fill a declared column, one
of dlt's own, or one that is not to be loaded. Such a key is dropped and reported, an object under it, too. Every other
becomes a column, up to a limit, since a column stays for ever; what does not fit the type of its first value is text in
a second one.
"""

import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from typing import Any

from dlt.common.normalizers.naming.snake_case import NamingConvention

from ..catalog import LIST, PARTITION_DATE, ROW_HASH, Resource
from ..exceptions import TooManyColumnsError
from ..redaction import printable
from ..settings import SOURCE_SECTION, Settings
from .convert import Unconvertible, storable, to_bool, to_double, to_integer, to_text
from .privacy import Privacy
from .schema import USER_ID, flatten

NAMING = NamingConvention()
"""dlt's default naming convention, which this project's source uses."""
RESERVED = (PARTITION_DATE, ROW_HASH, USER_ID.name)
DLT_PREFIX, VARIANT_MARK = re.compile("_+dlt|dlt_"), "__v_"
VARIANT = "{name}__v_text"
"""dlt's name of the column beside a column, for text that does not fit its type."""
TYPES: Mapping[type, str] = {str: "text", bool: "bool", int: "bigint", float: "double"}
CONVERTERS: Mapping[str | None, Callable[[Any], Any]] = {
    "text": to_text,
    "bool": to_bool,
    "bigint": to_integer,
    "double": to_double,
}
UNKNOWN_LIST = {PARTITION_DATE: PARTITION_DATE}
"""Taken column of a list that the catalog does not have."""
PRIVATE = "since it has the name of a field that is not loaded or replaced"
MAX_REPORTED = 20
"""Dropped keys of a resource that are reported, at most."""
NEVER_LOADED = ("password",)
"""Keys that are not loaded wherever they are: one brand sends the passwords of SIP lines."""

MAX_KEYS, MAX_CHARACTERS = 10_000, 1_000_000
"""Different unknown keys of a resource in a load, and their characters: they are kept in memory."""

Path = tuple[str, ...]


class UnknownKeys:
    """The unknown keys of one resource's rows, over all load packages and clients of a load.

    Args:
        resource: the report or dictionary.
        privacy: fields that are not loaded, under any spelling.
        existing: columns that the table has before the load, and their types.
        max_new: new columns, at most.

    Attributes:
        dropped: dropped keys, and why.
    """

    def __init__(
        self,
        resource: Resource,
        privacy: Privacy,
        existing: Mapping[str, str | None] | None = None,
        max_new: int = Settings.max_new_columns,
    ) -> None:
        self.dropped: dict[str, str] = {}
        self._resource = resource.name
        self._existing = dict(existing or {})  # the schema grows with each load package
        self._max_new = max_new
        self._new = 0
        names = [*privacy.excluded, *privacy.pseudonymized, *NEVER_LOADED]
        self._private = {_letters(part) for name in names for part in (name, name.rpartition(".")[2])}
        self._has_letters_of_private = lru_cache(MAX_KEYS)(lambda name: _letters(name) in self._private)
        declared = [*resource.fields.values(), *resource.computed.values()]
        taken = [*resource.fields, *_columns(declared), *RESERVED]
        self._taken: dict[Path, dict[str, str]] = {(): {_folded(name): name for name in taken}}
        for field in declared:
            if field.type == LIST:
                taken = [*field.children, *_columns(field.children.values()), PARTITION_DATE]
                self._taken[field.name,] = {_folded(name): name for name in taken}
        self._claimed: dict[tuple[Path, str], Path] = {}
        self._decided: dict[tuple[Path, Path, bool], bool] = {}
        self._characters = 0
        self._types: dict[tuple[Path, Path], str | None] = {}
        self._variants: set[tuple[Path, Path]] = set()

    def clean(self, name: str, value: Any, table: Path = (), parent: Path = ()) -> dict[str, Any]:
        """What is loaded of an unknown key, by name; empty if nothing is.

        Args:
            name: the key.
            value: its value.
            table: the list whose objects have the key; none for a row.
            parent: the objects in the row that the key is in.

        Raises:
            TooManyColumnsError: it would be one new column too many.
        """
        path = (*parent, name)
        if value is None or not self._accepts(table, path, isinstance(value, dict)):
            return {}
        if isinstance(value, dict):
            kept = self._clean_object(value, table, path)
            return {name: kept} if kept else {}
        if isinstance(value, list) and not table:
            return {name: [self._clean_item(path, item) for item in value]}
        if isinstance(value, list):
            return {name: storable(self.without_private(value, (*table, *path)))}
        return self._typed(table, path, value)

    @property
    def has_met_any(self) -> bool:
        """Whether any row had an unknown key, or one that was dropped."""
        return bool(self._decided or self.dropped)

    def is_private(self, path: Path) -> bool:
        """True if a key is another spelling of a field that is not loaded, or replaced, wherever it is."""
        return self._has_letters_of_private(path[-1]) or (len(path) > 1 and self._has_letters_of_private("".join(path)))

    def without_private(self, value: Any, path: Path = ()) -> Any:
        """A JSON value without the keys that are spellings of fields that are not loaded, or replaced.

        Args:
            value: the value.
            path: the keys that it is under.
        """
        if not isinstance(value, (dict, list)):
            return value
        if isinstance(value, list):
            return [self.without_private(item, path) for item in value]
        kept = {}
        for key, item in value.items():
            if self.is_private((*path, key)):
                self.drop((*path, key), PRIVATE)
            else:
                kept[key] = self.without_private(item, (*path, key))
        return kept

    def drop(self, path: Path, reason: str) -> None:
        """Notes a key that is not loaded, and why."""
        if len(self.dropped) < MAX_KEYS:
            self.dropped[printable(".".join(path))] = reason

    def warnings(self) -> list[str]:
        """What was dropped, in words."""
        return [
            f"{self._resource}: the key {key} is not loaded, {reason}."
            for key, reason in list(self.dropped.items())[:MAX_REPORTED]
        ]

    def _clean_object(self, value: dict[str, Any], table: Path, path: Path) -> dict[str, Any]:
        return {key: part for name, item in value.items() for key, part in self.clean(name, item, table, path).items()}

    def _clean_item(self, path: Path, item: Any) -> Any:
        """An item of a list that is not declared: a row of a child table, if it is an object."""
        if isinstance(item, dict):
            return self._clean_object(item, path, ())
        if item is None or isinstance(item, list):
            return storable(self.without_private(item, path))
        typed = self._typed(path, ("value",), item)
        return typed.get("value", typed)

    def _typed(self, table: Path, path: Path, value: Any) -> dict[str, Any]:
        """A scalar in the type of its column, which is that of the first value; else as text in a second column."""
        value, name = storable(value), path[-1]
        if (table, path) not in self._types:
            known = None if table else self._existing.get(_column(path))
            self._types[table, path] = known or TYPES[type(value)]
        kind = self._types[table, path]
        if kind == TYPES[type(value)] or kind not in CONVERTERS:
            return {name: value}
        try:
            return {name: CONVERTERS[kind](value)}
        except Unconvertible:
            if (table, path) not in self._variants:
                self._variants.add((table, path))
                self._count(table, path, VARIANT.format(name=_column(path)))
            return {VARIANT.format(name=NAMING.normalize_path(name)): to_text(value)}

    def _accepts(self, table: Path, path: Path, is_object: bool) -> bool:
        key = (table, path, is_object)
        if key not in self._decided:
            self._characters += sum(map(len, path))
            if len(self._decided) >= MAX_KEYS or self._characters > MAX_CHARACTERS:
                raise TooManyColumnsError(
                    f"{self._resource}: the API sends more than {MAX_KEYS:,} keys that are not documented, or of more "
                    f"than {MAX_CHARACTERS:,} characters. What came before is loaded. Report it to the vendor."
                )
            self._decided[key] = self._decide(table, path, is_object)
        return self._decided[key]

    def _decide(self, table: Path, path: Path, is_object: bool) -> bool:
        column = _column(path)
        if owner := self._taken.get(table, UNKNOWN_LIST).get(_folded(column)):
            return self._drop(table, path, f"since its column would be {owner}")
        if self.is_private(path) or (table and self.is_private((*table, *path))):
            return self._drop(table, path, PRIVATE)
        if is_object:
            return True
        if not column or DLT_PREFIX.match(column) or VARIANT_MARK in column:
            return self._drop(table, path, f"since its column would be {column or 'without a name'}")
        if self._claimed.setdefault((table, column), path) != path:
            return self._drop(table, path, f"since its column would be {column}, which another key has")
        self._count(table, path, column)
        return True

    def _drop(self, table: Path, path: Path, reason: str) -> bool:
        self.drop((*table, *path), reason)
        return False

    def _count(self, table: Path, path: Path, column: str) -> None:
        """Counts a column, unless the table has it."""
        if table or column not in self._existing:
            self._new += 1
            if self._new > self._max_new:
                raise TooManyColumnsError(
                    f"{self._resource}: the API sends more than {self._max_new} keys that are not documented, the last "
                    f"of them {printable('.'.join((*table, *path)))}. What came before is loaded, and its columns "
                    f"stay. If the keys are right, raise {SOURCE_SECTION}.max_new_columns."
                )


def _columns(fields: Iterable[Any]) -> list[str]:
    return [field.name for field in flatten(fields)]


def _column(path: Path) -> str:
    """The column's name as dlt makes it; empty if it cannot make one."""
    try:
        parts = [NAMING.normalize_path(part) for part in path]
    except ValueError:
        return ""
    return "__".join(parts) if all(parts) else ""


def _folded(column: str) -> str:
    """A column's name whatever its underscores: `talk__duration` is read as `talk_duration` by everybody but dlt."""
    return re.sub("_+", "_", column).strip("_")


def _letters(name: str) -> str:
    """A name's letters and digits, in any case, whatever is between them."""
    return re.sub(r"[\W_]+", "", unicodedata.normalize("NFKC", name).casefold())
