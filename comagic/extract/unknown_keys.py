"""Keys that the API sends and the catalog does not have: which of them become columns.

dlt folds names: `User ID`, `userId` and `user_id` are one column. So an unknown key could fill a declared column, one
of dlt's own, or one that is not to be loaded. Such a key is dropped and reported; every other becomes a column, up to a
limit, since a column stays for ever.
"""

from collections.abc import Collection, Iterable
from typing import Any

from dlt.common.normalizers.naming.snake_case import NamingConvention

from ..catalog import LIST, PARTITION_DATE, ROW_HASH, Resource
from ..exceptions import TooManyColumnsError
from ..redaction import printable
from ..settings import SOURCE_SECTION, Settings
from .convert import storable
from .privacy import Privacy
from .schema import USER_ID, flatten

NAMING = NamingConvention()
"""dlt's default naming convention, which this project's source uses."""
RESERVED = (PARTITION_DATE, ROW_HASH, USER_ID.name)
DLT_PREFIX, VARIANT_MARK = "_dlt", "__v_"
MAX_REPORTED = 20
"""Dropped keys of a resource that are reported, at most."""

Path = tuple[str, ...]


class UnknownKeys:
    """The unknown keys of one resource's rows, over all load packages and clients of a load.

    Args:
        resource: the report or dictionary.
        privacy: fields that are not loaded, under any spelling.
        existing: columns that the table has before the load.
        max_new: new columns, at most.

    Attributes:
        dropped: dropped keys, and the column each would have filled.
    """

    def __init__(
        self,
        resource: Resource,
        privacy: Privacy,
        existing: Collection[str] = (),
        max_new: int = Settings.max_new_columns,
    ) -> None:
        self.dropped: dict[str, str] = {}
        self._resource = resource.name
        self._existing = frozenset(existing)  # the schema grows with each load package
        self._max_new = max_new
        self._new = 0
        declared = [*resource.fields.values(), *resource.computed.values()]
        self._owners: dict[Path, dict[str, Path | None]] = {(): _taken([*resource.fields, *_columns(declared)])}
        self._private = _taken([*privacy.excluded, *privacy.pseudonymized])
        self._owners[()] |= _taken(RESERVED) | self._private
        for field in declared:
            if field.type == LIST:
                private = [
                    name.partition(".")[2]
                    for name in (*privacy.excluded, *privacy.pseudonymized)
                    if name.startswith(f"{field.name}.")
                ]
                self._owners[field.name,] = _taken(
                    [*field.children, *_columns(field.children.values()), *private, PARTITION_DATE]
                )
        self._decided: dict[tuple[Path, Path], bool] = {}

    def clean(self, name: str, value: Any, table: Path = (), parent: Path = ()) -> Any:
        """The value of an unknown key without what must not be loaded; None if nothing of it is left.

        Args:
            name: the key.
            value: its value.
            table: the list whose objects have the key; none for a row.
            parent: the objects in the row that the key is in.

        Raises:
            TooManyColumnsError: it would be one new column too many.
        """
        path = (*parent, name)
        if isinstance(value, dict):
            kept = {key: self.clean(key, item, table, path) for key, item in value.items()}
            return {key: item for key, item in kept.items() if item is not None} or None
        if not self._accepts(table, path):
            return None
        if isinstance(value, list) and not table:
            return [self._clean_item(path, item) for item in value]
        return storable(value)

    def is_private(self, name: str) -> bool:
        """True if a key of a row is another spelling of a field that is not loaded, or replaced."""
        return _column((name,)) in self._private

    def warnings(self) -> list[str]:
        """What was dropped, in words."""
        return [
            f"{self._resource}: the key {printable(key)} is not loaded, since its column would be {column}."
            for key, column in list(self.dropped.items())[:MAX_REPORTED]
        ]

    def _clean_item(self, table: Path, item: Any) -> Any:
        """An item of a list that is not declared: a row of a child table, if it is an object."""
        if not isinstance(item, dict):
            return storable(item)
        kept = {key: self.clean(key, value, table) for key, value in item.items()}
        return {key: value for key, value in kept.items() if value is not None}

    def _accepts(self, table: Path, path: Path) -> bool:
        if (table, path) not in self._decided:
            self._decided[table, path] = self._decide(table, path)
        return self._decided[table, path]

    def _decide(self, table: Path, path: Path) -> bool:
        column = _column(path)
        owners = self._owners.setdefault(table, _taken([PARTITION_DATE]))
        is_reserved = not column or column.startswith(DLT_PREFIX) or VARIANT_MARK in column
        if is_reserved or owners.setdefault(column, path) != path:
            self.dropped[".".join((*table, *path))] = column or "without a name"
            return False
        if table or column not in self._existing:
            self._new += 1
            if self._new > self._max_new:
                raise TooManyColumnsError(
                    f"{self._resource}: the API sends more than {self._max_new} keys that are not documented, the last "
                    f"of them {printable('.'.join((*table, *path)))}. Nothing of this was loaded, since columns stay. "
                    f"If they are right, raise {SOURCE_SECTION}.max_new_columns."
                )
        return True


def _columns(fields: Iterable[Any]) -> list[str]:
    return [field.name for field in flatten(fields)]


def _taken(names: Iterable[str]) -> dict[str, Path | None]:
    return {NAMING.normalize_path(name.partition(".")[0]): None for name in names}


def _column(path: Path) -> str:
    """The column's name as dlt makes it; empty if it cannot make one."""
    try:
        parts = [NAMING.normalize_path(part) for part in path]
    except ValueError:
        return ""
    return "__".join(parts) if all(parts) else ""
