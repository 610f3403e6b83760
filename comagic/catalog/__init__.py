"""The resources that can be loaded, declared as data: one YAML file per resource, parsed into the classes below.

The source, its column hints, the sandbox server and the `check` command are all derived from these files. To add a
report, add one file in `reports`; nothing else. To add a dictionary, add one file in `dictionaries`. The facts in the
files come from the vendor's manual of the Data API v2.0; `tests/catalog/test_catalog.py` checks them against a copy of
that specification in both directions.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any, ClassVar, Optional

import yaml

HERE = Path(__file__).parent

LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""The parser in C, where PyYAML was built with it: the one in Python takes a fifth of a program's start."""

LIST = "list"
"""Catalog type of a nested list, which becomes a child table."""

OBJECT = "object"
"""Catalog type of an object, whose fields become columns `object__field`; all other types are dlt data types."""

TIME = "timestamp"
"""Type of the API's timestamps, which have no time zone and are in the account's local time."""

DAY = "date"
"""Type of the API's dates, which are dates in the account's time zone."""

BY_DATES, BY_FILTER, BY_DAY, BY_PARENT = "dates", "filter", "day", "parent"
"""Ways to request a report's period; see `Report.period`."""

PARTITION_DATE = "partition_date"
"""Computed column of every report, and of its child tables: the local day of the row."""

ROW_HASH = "row_hash"
"""Computed column of every report whose rows are merged one by one."""

SHARED_PARTS = ("type", "description", "values", "children", "items", "scalar")
"""Parts of a declaration that resources share; the flags (selected, sent, sort, filter) differ by method."""


@dataclass(frozen=True)
class Field:
    """One field of an API response.

    Attributes:
        name: name of the field in the API and of its column.
        type: dlt data type, `list` or `object`.
        description: one-line description, also used as the column's description.
        selected: requested by default; the `fields` setting overrides it.
        sent: returned by the API when a request names no fields.
        sort: the API can sort by the field.
        filter: the API can filter by the field.
        values: possible codes of an enumeration; empty for other types.
        not_in: brands whose manual does not have the field.
        retired: the vendor has announced that the field will be removed; it is not requested.
        children: fields of an object, or of the objects in a list.
        items: for a list of scalars, the scalar as the child table's column `value`; it has the list's codes.
        scalar: for a list of objects, the field that is meant where a brand sends a scalar instead of an object.
    """

    name: str
    type: str
    description: str
    selected: bool = False
    sent: bool = False
    sort: bool = False
    filter: bool = False
    values: tuple[str, ...] = ()
    not_in: tuple[str, ...] = ()
    retired: bool = False
    children: Mapping[str, "Field"] = field(default_factory=dict)
    items: Optional["Field"] = None
    scalar: str = ""

    @property
    def meaning(self) -> str:
        """The description with all codes of an enumeration."""
        codes = ", ".join(dict.fromkeys(self.values))
        return f"{self.description} Codes: {codes}." if codes else self.description

    @classmethod
    def parse(cls, name: str, declared: Mapping[str, Any]) -> "Field":
        """Parses a field from its declaration in a catalog file."""
        options = dict(declared)
        children = {child: cls.parse(child, declaration) for child, declaration in options.pop("children", {}).items()}
        items = cls.parse("value", options.pop("items")) if "items" in options else None
        options |= {part: tuple(options.get(part, ())) for part in ("values", "not_in")}
        if items and not items.values:
            items = replace(items, values=options["values"])
        return cls(name=name, children=children, items=items, **options)


ROW_HASH_FIELD = Field(
    ROW_HASH,
    "bigint",
    "Hash of the row as it was loaded, with its lists; the same hash: nothing has changed.",
)


@dataclass(frozen=True)
class Parents:
    """The rows of which each is the subject of a request.

    Attributes:
        report: the report whose rows they are.
        parameter: parameter that takes the key of such a row; rows of the response carry it.
        has: list that such a row must have something in.
        duration: field of such a row that must reach the setting `transcript_min_seconds`.
    """

    report: str
    parameter: str
    has: str
    duration: str


@dataclass(frozen=True)
class Report:
    """A report of the API: many rows, selected by a time period.

    Attributes:
        name: name of the resource and of its table.
        method: JSON-RPC method.
        description: one-line description, also used as the table's description.
        primary_key: field that is unique within the account, or a computed key if there is none.
        cursor: time field by which rows are selected, and sorted where the API can sort by it.
        longest_period_days: longest period that one request can cover, in days.
        fields: all documented fields, by name.
        computed: columns that the source computes from other fields; `row_hash` is added to what a file declares.
        key_of: fields from which a computed key is built.
        merge_key: fields that identify a group of rows to replace as a whole, for rows whose key can change.
        period: how a period is requested: `dates` (parameters date_from and date_till), `filter` (a filter on the
            cursor), `day` (a request for each day, whose rows do not say which it is: the cursor is added to them) or
            `parent` (a request for each row of another report, whose time is added).
        parents: with `parent`, those rows.
        rows_in: list that has the rows, where the method returns an object; it has no pages, and no choice of fields.
        is_opt_in: loaded only if it is named, not as one of a group.
        for_each: required request parameter mapped to the dictionary that supplies its ids, one per request.
        rereads: reports of which rows of this one tell that days have changed, each with the field that has the time.
        component: paid component that the method needs; the account may do without the report.
        not_in: brands whose manual does not have the method.
        is_agency_level: always False; a report belongs to one client.
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
    period: str = BY_DATES
    parents: Parents | None = None
    rows_in: str = ""
    is_opt_in: bool = False
    for_each: Mapping[str, str] = field(default_factory=dict)
    rereads: Mapping[str, str] = field(default_factory=dict)
    component: str = ""
    not_in: Sequence[str] = ()
    is_agency_level: ClassVar[bool] = False

    @property
    def cursor_field(self) -> Field:
        """The declaration of the cursor: a field of the API, or a column that is added."""
        return self.fields.get(self.cursor) or self.computed[self.cursor]

    @property
    def selected(self) -> tuple[str, ...]:
        """Names of the fields that are requested by default."""
        return tuple(name for name, declared in self.fields.items() if declared.selected)

    @property
    def needed(self) -> tuple[str, ...]:
        """Names of the fields that are required to identify and merge rows."""
        return (self.primary_key, self.cursor, *self.key_of, *self.merge_key)

    @property
    def indispensable(self) -> tuple[str, ...]:
        """Names of the fields without which rows cannot be loaded; a part of a computed key may be missing."""
        return (self.primary_key, self.cursor, *self.merge_key)


@dataclass(frozen=True)
class Dictionary:
    """A dictionary of the API: few entries, read in full on every run.

    Attributes:
        name: name of the resource and of its table.
        method: JSON-RPC method.
        description: one-line description, also used as the table's description.
        primary_key: field that is unique within the account, or a computed key if there is none.
        fields: all documented fields, by name.
        computed: columns that the source computes from other fields: the key, if no field is one.
        key_of: fields from which a computed key is built; entries are sorted by the first that the API can sort by.
        rows_in: list that has the entries, where the method returns an object; it has no pages, no choice of fields.
        is_agency_level: the entries belong to an agency, not to one of its clients.
        component: paid component that the method needs; the account may do without the dictionary.
        not_in: brands whose manual does not have the method.
        cursor: always None; entries have no time.
    """

    name: str
    method: str
    description: str
    primary_key: str
    fields: Mapping[str, Field]
    computed: Mapping[str, Field] = field(default_factory=dict)
    key_of: Sequence[str] = ()
    rows_in: str = ""
    is_agency_level: bool = False
    component: str = ""
    not_in: Sequence[str] = ()
    cursor: ClassVar[None] = None
    is_opt_in: ClassVar[bool] = False

    @property
    def needed(self) -> tuple[str, ...]:
        """Names of the fields that are required to identify entries."""
        return (self.primary_key, *self.key_of)

    @property
    def indispensable(self) -> tuple[str, ...]:
        """Names of the fields without which entries cannot be loaded; of a computed key that is the first part."""
        return (self.primary_key, *self.key_of[:1])


Resource = Report | Dictionary


def read_report(file: Path) -> Report:
    """Reads a report's catalog file; a field without a type is completed from `calls.yaml`."""
    declared = _read_yaml(file)
    for part in ("fields", "computed"):
        declared[part] = _parse_fields(declared[part], _call_fields())
    if "parents" in declared:
        declared["parents"] = Parents(**declared["parents"])
    if not declared.get("merge_key"):
        declared["computed"][ROW_HASH] = ROW_HASH_FIELD
    return Report(**declared)


def read_dictionary_file(file: Path) -> Dictionary:
    """Reads a dictionary's catalog file; a field without a type is completed from `shared.yaml`."""
    declared = _read_yaml(file)
    for part in ("fields", "computed"):
        declared[part] = _parse_fields(declared.get(part, {}), _shared_fields())
    return Dictionary(**declared)


@cache
def reports() -> Mapping[str, Report]:
    """All reports by resource name, in alphabetical order."""
    parsed = [read_report(file) for file in sorted((HERE / "reports").glob("*.yaml"))]
    return {report.name: report for report in parsed}


@cache
def dictionaries() -> Mapping[str, Dictionary]:
    """All dictionaries by resource name, in alphabetical order."""
    parsed = [read_dictionary_file(file) for file in sorted((HERE / "dictionaries").glob("*.yaml"))]
    return {dictionary.name: dictionary for dictionary in parsed}


def resources() -> Mapping[str, Resource]:
    """All resources by name, reports first."""
    return {**reports(), **dictionaries()}


def _parse_fields(declared: Mapping[str, Any], shared: Mapping[str, Any]) -> dict[str, Field]:
    return {
        name: Field.parse(name, _with_shared_parts(name, declaration, shared)) for name, declaration in declared.items()
    }


def _with_shared_parts(name: str, declared: Mapping[str, Any], shared: Mapping[str, Any]) -> Mapping[str, Any]:
    """Completes a declaration that has no type with the shared declaration of the same field."""
    if "type" in declared:
        return declared
    return {**{part: value for part, value in shared[name].items() if part in SHARED_PARTS}, **declared}


@cache
def _call_fields() -> Mapping[str, Any]:
    fields: Mapping[str, Any] = _read_yaml(HERE / "reports" / "calls.yaml")["fields"]
    return fields


@cache
def _shared_fields() -> Mapping[str, Any]:
    return _read_yaml(HERE / "shared.yaml")


def _read_yaml(file: Path) -> dict[str, Any]:
    content: dict[str, Any] = yaml.load(file.read_text(encoding="utf-8"), Loader=LOADER)  # noqa: S506  # a safe one
    return content
