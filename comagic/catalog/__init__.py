"""What can be loaded, as data: one YAML file a resource, read into the classes below.

The source, its column hints, the sandbox server and the `check` command are derived from these files and from
nothing else: to add a report is to add a file in `reports`, to add a dictionary one in `dictionaries`. Facts in the
files come from the vendor's manual of the Data API v2.0; `tests/test_catalog.py` holds them against a copy of that
specification, both ways.
"""

from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any, ClassVar, Dict, Mapping, Optional, Sequence, Tuple, Union

import yaml

HERE = Path(__file__).parent

LIST = "list"
"""The catalog's type of a nested list, which becomes a child table."""

OBJECT = "object"
"""The catalog's type of an object, whose fields become columns `object__field`; other types are dlt's `data_type`."""

TIME = "timestamp"
"""The type of the API's times, which arrive without a zone, in the account's own time."""

DAY = "date"
"""The type of the API's days, of the account's own calendar."""

SHARED_PARTS = ("type", "description", "values", "children", "items")
"""What a field is, wherever it is; whether it can be sorted or filtered by is each method's own."""


@dataclass(frozen=True)
class Field:
    """One field of an answer.

    Attributes:
        name: the API's name of the field, and the column's.
        type: dlt's data type, `list` or `object`.
        description: one line for people; it becomes the column's description.
        selected: asked for unless the configuration says otherwise.
        sent: sent by the API when a request names no fields.
        sort: the API can sort by it.
        filter: the API can filter by it.
        values: the codes that an enumeration can have; empty for other types.
        children: for an object, or a list of objects, the fields of one.
        items: for a list of scalars, the scalar as the child table's column `value`.
    """

    name: str
    type: str
    description: str
    selected: bool = False
    sent: bool = False
    sort: bool = False
    filter: bool = False
    values: Tuple[str, ...] = ()
    children: Mapping[str, "Field"] = field(default_factory=dict)
    items: Optional["Field"] = None

    @classmethod
    def parse(cls, name: str, declared: Mapping[str, Any]) -> "Field":
        """Reads one field from its declaration in a catalog file."""
        given = dict(declared)
        children = {child: cls.parse(child, of) for child, of in given.pop("children", {}).items()}
        items = cls.parse("value", given.pop("items")) if "items" in given else None
        values = tuple(given.pop("values", ()))
        return cls(name=name, children=children, items=items, values=values, **given)


@dataclass(frozen=True)
class Report:
    """A report of the API: many rows, selected by time.

    Attributes:
        name: name of the resource and of its table.
        method: JSON-RPC method.
        description: one line for people; it becomes the table's description.
        primary_key: field that is unique in the account; a computed one where there is none.
        cursor: field whose time selects the rows and by which they are sorted.
        longest_period_days: the longest period that one request may name.
        fields: every documented field, by name.
        computed: columns that the source makes from other fields.
        key_of: fields of which a computed key is made.
        merge_key: fields whose values together are replaced whole, where what a row is about may change.
        for_each: parameter that a request has to have, and the dictionary whose ids it takes, one a request.
    """

    name: str
    method: str
    description: str
    primary_key: str
    cursor: str
    longest_period_days: int
    fields: Mapping[str, Field]
    computed: Mapping[str, Field]
    key_of: Sequence[str] = ()
    merge_key: Sequence[str] = ()
    for_each: Mapping[str, str] = field(default_factory=dict)

    @property
    def selected(self) -> Tuple[str, ...]:
        """Names of the fields that are asked for by default."""
        return tuple(name for name, of in self.fields.items() if of.selected)

    @property
    def needed(self) -> Tuple[str, ...]:
        """Names of the fields without which rows cannot be told apart or merged."""
        return (self.primary_key, self.cursor, *self.key_of, *self.merge_key)


@dataclass(frozen=True)
class Dictionary:
    """A dictionary of the API: few entries, read whole at each run.

    Attributes:
        name: name of the resource and of its table.
        method: JSON-RPC method.
        description: one line for people; it becomes the table's description.
        primary_key: field that is unique in the account.
        fields: every documented field, by name.
        is_agencys: it tells of an agency itself, not of one of its clients.
        cursor: none; an entry has no time.
        computed: no columns are made from other fields.
        key_of: its key is a field.
    """

    name: str
    method: str
    description: str
    primary_key: str
    fields: Mapping[str, Field]
    is_agencys: bool = False
    cursor: ClassVar[None] = None
    computed: ClassVar[Mapping[str, Field]] = MappingProxyType({})
    key_of: ClassVar[Sequence[str]] = ()

    @property
    def needed(self) -> Tuple[str, ...]:
        """Names of the fields without which entries cannot be told apart."""
        return (self.primary_key,)


Resource = Union[Report, Dictionary]


def read_report(file: Path) -> Report:
    """Reads the catalog file of a report; a field without a type of its own is taken from `calls.yaml`."""
    declared: Dict[str, Any] = _yaml(file)
    for part in ("fields", "computed"):
        declared[part] = {name: Field.parse(name, _whole(name, of, _of_calls())) for name, of in declared[part].items()}
    return Report(**declared)


def read_dictionary_file(file: Path) -> Dictionary:
    """Reads the catalog file of a dictionary; a field without a type of its own is taken from `shared.yaml`."""
    declared: Dict[str, Any] = _yaml(file)
    fields = {name: Field.parse(name, _whole(name, of, _shared())) for name, of in declared["fields"].items()}
    return Dictionary(**{**declared, "fields": fields})


@cache
def reports() -> Mapping[str, Report]:
    """All reports by the name of their resource, in alphabetical order."""
    found = [read_report(file) for file in sorted((HERE / "reports").glob("*.yaml"))]
    return {report.name: report for report in found}


@cache
def dictionaries() -> Mapping[str, Dictionary]:
    """All dictionaries by the name of their resource, in alphabetical order."""
    found = [read_dictionary_file(file) for file in sorted((HERE / "dictionaries").glob("*.yaml"))]
    return {dictionary.name: dictionary for dictionary in found}


def resources() -> Mapping[str, Resource]:
    """All that can be loaded, reports first."""
    return {**reports(), **dictionaries()}


def _whole(name: str, declared: Mapping[str, Any], shared: Mapping[str, Any]) -> Mapping[str, Any]:
    """What a file says of a field, with what is said once for all."""
    if "type" in declared:
        return declared
    return {**{part: of for part, of in shared[name].items() if part in SHARED_PARTS}, **declared}


@cache
def _of_calls() -> Mapping[str, Any]:
    fields: Mapping[str, Any] = _yaml(HERE / "reports" / "calls.yaml")["fields"]
    return fields


@cache
def _shared() -> Mapping[str, Any]:
    return _yaml(HERE / "shared.yaml")


def _yaml(file: Path) -> Dict[str, Any]:
    read: Dict[str, Any] = yaml.safe_load(file.read_text(encoding="utf-8"))
    return read
