"""The Data API as the vendors' manuals have it: rows of every documented field, and a server of them.

Rows, fields and parameters come from the copies of the manuals in tests/data, not from the catalog or the sandbox's
makers. The manuals do not say which field is the key and which has the time: that is the catalog's.
"""

import json
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

import orjson
import pytest

from comagic.catalog import BY_DAY, BY_FILTER, DAY, Report, Resource, resources
from comagic.sandbox import SandboxServer
from comagic.sandbox.errors import RejectedError

Row = dict[str, Any]
Spec = Mapping[str, Any]

DATA = Path(__file__).parent.parent / "data"
METHODS: dict[str, Any] = {
    method: spec
    for name in ("methods.json", "methods_more.json")
    for method, spec in json.loads((DATA / name).read_text("utf-8"))["methods"].items()
}
"""Parameters and fields by method."""
BRAND_FIELDS: dict[str, dict[str, list[str]]] = json.loads((DATA / "brand_fields.json").read_text("utf-8"))
"""Fields by manual and method, nested ones too; only some methods were compared."""
MANUALS = list(BRAND_FIELDS)

COVERED_ELSEWHERE = frozenset(name for name, one in resources().items() if one.rows_in)
"""Resources whose method returns an object: `tests/extract/test_parents.py` loads them."""
COVERED: dict[str, Resource] = {name: one for name, one in resources().items() if name not in COVERED_ELSEWHERE}

ACCOUNT = "get.account"
ZONE = "Europe/Berlin"
DATE = "2026-03-02"
TIME = f"{DATE} 12:34:56"
"""Time of every row, in the account's zone."""
FIRST_ID = 2**40

FULL, EMPTY, OBJECTS, SCALARS = "full", "empty", "objects", "scalars"
"""Rows of each resource: every field filled; only what is required; its only element instead of a list; a text instead
of an object."""
LIST_SHAPE, OBJECT_SHAPE = "list", "object"
SHAPES = (LIST_SHAPE, "bare", "meta_data", "no_total", OBJECT_SHAPE)
"""How a result is sent: see `Switches.shapes`."""
STRAY = "instead of an object"

REFUSED, GONE, DISABLED, TOTAL = "refused", "gone", "disabled", "total"
"""Troubles: a field is refused, the method is gone, its component is missing, the total is one too high."""


def documented_fields(resource: Resource, manual: str) -> dict[str, Spec]:
    """The fields of a brand's rows, by name, with what the manual says of them.

    A name that no sample has at the top, and the catalog does not have there, is one of a field inside an object or
    list; tests/catalog has which. Fields that the vendor is going to remove are left out. A few methods were not
    compared between the brands, and a few fields are only in a brand's list: for these the catalog says who has them,
    and of which type they are.
    """
    listed = BRAND_FIELDS[manual].get(resource.method)
    found = {}
    for spec in reversed(METHODS[resource.method]["fields"]):
        name, declared = spec["name"], resource.fields.get(spec["name"])
        is_nested = declared is None and bool(spec.get("missing_from_sample") or spec.get("sample_only"))
        is_lacking = bool(declared and manual in declared.not_in) if listed is None else name not in listed
        if not is_nested and not is_lacking and not (declared and declared.retired):
            found[name] = spec
    for name in listed or ():
        if name in resource.fields and name not in found and not resource.fields[name].retired:
            found[name] = {"name": name, "type": "string" if resource.fields[name].type == "text" else "number"}
    return found


def has_method(resource: Resource, manual: str) -> bool:
    """True if the brand's manual has the method, with a period where it is a report."""
    if (manual, resource.method) == ("novofon", "get.chat_messages_report"):  # wants the id of a chat, and has no dates
        return False
    brands = METHODS[resource.method].get("brands")
    if brands is None:
        brands = [brand for brand, methods in BRAND_FIELDS.items() if resource.method in methods] or MANUALS
    return manual in brands


class ManualRows:
    """The rows of one resource.

    Args:
        resource: the resource.
        manual: whose manual is followed.

    Attributes:
        fields: the fields that the manual has, by name.
    """

    def __init__(self, resource: Resource, manual: str) -> None:
        self.fields = documented_fields(resource, manual)
        self._resource = resource
        self._manual = manual
        self._made = 0

    def rows(self) -> dict[str, Row]:
        """A row of each variant; of the account there is one."""
        if self._resource.method == ACCOUNT:
            return {FULL: {**self._full(), "timezone": ZONE}}
        full = self._full()
        made = {
            FULL: full,
            EMPTY: {name: _empty(value) for name, value in full.items()},
            OBJECTS: {name: value[0] if isinstance(value, list) else value for name, value in self._full().items()},
            SCALARS: {name: _scalar(value) for name, value in self._full().items()},
        }
        for number, (variant, row) in enumerate(made.items()):
            row.update(self._identity(number, self._resource.indispensable if variant == EMPTY else None))
        return made

    def _full(self) -> Row:
        return {name: self._value(spec) for name, spec in self.fields.items()}

    def _identity(self, number: int, only: Collection[str] | None) -> Row:
        """The key and time of a row, or what is required of them."""
        one = self._resource
        names = [name for name in one.needed if name in self.fields and (only is None or name in only)]
        for_each = getattr(one, "for_each", ())
        return {name: FIRST_ID if name in for_each else self._value(self.fields[name], number) for name in names}

    def _value(self, spec: Spec, number: int | None = None) -> Any:
        """A value of the documented type: another one each time, or the one with this number.

        Where the manual's type says less than the name does, the value is what the name says.
        """
        self._made += 1
        nth, name, kind = self._made if number is None else number, spec["name"], spec["type"]
        if kind in ("array", "object") or spec.get("children"):
            return self._nested(spec)
        if "values" in spec and kind != "boolean":
            return spec["values"][nth % len(spec["values"])]
        declared = self._resource.fields.get(name)
        if kind == "iso8601":
            return DATE if declared and declared.type == DAY else TIME
        if kind == "boolean":
            return nth % 2 == 1
        if kind in ("number", "id"):
            decimals = 0.5 if declared and declared.type == "double" else 0
            return (FIRST_ID if name.endswith("id") else 100) + nth + decimals
        return self._text(name, nth)

    def _text(self, name: str, nth: int) -> str:
        if "cost" in name:
            return f"{nth}.25"
        if "phone" in name:
            return f"0049{nth:07}"
        if "time" in name or "date" in name:  # has to stay text, as it is
            return f"{DATE} 01:02:{nth % 60:02}"
        if name.endswith("_id"):  # a number in some brands or methods
            return str(10**12 + nth)
        return f"{name} «{nth}» \U0001f3e0"

    def _nested(self, spec: Spec) -> Any:
        if self._manual == "callgear" and spec["name"] == "ip_addresses":
            return ["10.0.0.1"]
        children = spec.get("children") or self._children_at_the_top(spec["name"])
        made = {child["name"]: self._value(child) for child in children}
        if spec["type"] == "object":
            return made or {"group": [{"operator": "=", "value": None}], "number": 7}
        if spec["type"] == "array" and not made:
            ids = spec["name"].endswith("_ids") and not spec["name"].endswith("ext_ids")
            return [self._value({**spec, "type": "number" if ids else "string", "name": spec["name"].rstrip("s")})]
        return [made]

    def _children_at_the_top(self, name: str) -> Iterator[Spec]:
        """The fields of an object that the manual lists beside it."""
        declared = self._resource.fields.get(name)
        own = declared.children if declared else {}
        is_json = declared is not None and declared.type == "json"
        for spec in METHODS[self._resource.method]["fields"]:
            is_nested = spec["name"] not in self._resource.fields and spec.get("missing_from_sample")
            if is_nested and (spec["name"] in own or is_json) and spec["type"] not in ("array", "object"):
                yield spec


def _empty(filled: Any) -> Any:
    return [] if isinstance(filled, list) else {} if isinstance(filled, dict) else None


def _scalar(value: Any) -> Any:
    """A text instead of an object, or of the objects of a list."""
    if isinstance(value, dict):
        return STRAY
    return [STRAY] if isinstance(value, list) and isinstance(value[0], dict) else value


class Manual:
    """Responds to requests as a brand's manual has it, and refuses what it does not have.

    Args:
        manual: whose manual is followed.
        shapes: how the result of a method is sent; default: a list.
        troubles: what is wrong with a method.
        password: sent with every SIP line, as one brand does unasked.

    Attributes:
        rows: the rows of each resource that the manual has, by variant.
        refused: field that is refused, by name of the resource.
        unavailable: names of the resources whose method is refused.
    """

    def __init__(
        self,
        manual: str,
        shapes: Mapping[str, str] | None = None,
        troubles: Mapping[str, str] | None = None,
        password: str = "",
    ) -> None:
        self._shapes, self._troubles, self._password = shapes or {}, troubles or {}, password
        self._resources = {one.method: one for one in COVERED.values() if has_method(one, manual)}
        self._made = {one.name: ManualRows(one, manual) for one in self._resources.values()}
        self.rows: dict[str, dict[str, Row]] = {}
        self.refused: dict[str, str] = {}
        self.unavailable = {one.name for one in COVERED.values() if self._is_unavailable(one.method)}
        for method, one in self._resources.items():
            rows = self._made[one.name].rows()
            self.rows[one.name] = {FULL: rows[FULL]} if self._shapes.get(method) == OBJECT_SHAPE else rows
            if self._troubles.get(method) == REFUSED and (names := _dispensable(one, self._made[one.name].fields)):
                self.refused[one.name] = names[-1]

    def serve(self, sandbox: SandboxServer, patch: pytest.MonkeyPatch) -> str:
        """Makes a sandbox respond as this does; returns its address."""
        patch.setattr(sandbox.protocol, "respond", self.respond)
        return sandbox.base_url

    def respond(self, body: bytes) -> dict[str, Any]:
        """The response to the body of a request, as an object to send as JSON."""
        request = orjson.loads(body)
        response = {"jsonrpc": "2.0", "id": request["id"]}
        try:
            return {**response, "result": self._result(request["method"], request["params"])}
        except RejectedError as error:
            return {**response, "error": error.as_json({})}

    def _result(self, method: str, params: Row) -> Any:
        if self._is_unavailable(method):
            is_disabled = self._troubles.get(method) == DISABLED
            raise RejectedError("method_component_disabled" if is_disabled else "method_not_found")
        resource = self._resources[method]
        self._check(resource, params)
        found = [row for row in self.rows[resource.name].values() if _is_requested(resource, row, params)]
        names = params.get("fields", list(self._made[resource.name].fields))
        page = found[params.get("offset", 0) :][: params.get("limit", 1000)]
        rows = [{name: row[name] for name in names} for row in page]
        if self._password and method == "get.sip_lines":
            rows = [{**row, "password": self._password} for row in rows]
        return self._shape(method, rows, len(found) + (self._troubles.get(method) == TOTAL))

    def _is_unavailable(self, method: str) -> bool:
        return method not in self._resources or self._troubles.get(method) in (GONE, DISABLED)

    def _check(self, resource: Resource, params: Row) -> None:
        """Refuses what the manual's tables of parameters and fields do not have."""
        documented = {one["name"]: one["required"] for one in METHODS[resource.method]["params"]}
        documented["access_token"] = True  # one page forgets it
        if unknown := set(params) - set(documented):
            raise RejectedError("unexpected_parameters", field=min(unknown))
        # the manual requires a report_id for uploads in one place, and shows a request without it in another
        if missing := {name for name, is_required in documented.items() if is_required} - set(params) - {"report_id"}:
            raise RejectedError("required_parameter_missed", field=min(missing))
        fields = self._made[resource.name].fields
        for name in params.get("fields", ()):
            if name not in fields or name == self.refused.get(resource.name):
                raise RejectedError("unexpected_parameters", field="fields", value=name)
        for key in params.get("sort", ()):
            if not fields.get(key["field"], {}).get("sort"):
                raise RejectedError("sort_prohibited", field="sort", value=key["field"])
        for part in params.get("filter", {}).get("filters", ()):
            if not fields.get(part["field"], {}).get("filter"):
                raise RejectedError("filter_prohibited", field="filter", value=part["field"])

    def _shape(self, method: str, rows: list[Row], total: int) -> Any:
        shape = self._shapes.get(method, LIST_SHAPE)
        if shape == "bare":
            return rows
        data: Any = rows[0] if shape == OBJECT_SHAPE and rows else rows
        metadata = {} if shape in ("meta_data", "no_total") else {"total_items": total}
        return {"data": data, "meta_data" if shape == "meta_data" else "metadata": {**metadata, "limits": {}}}


def _dispensable(resource: Resource, fields: Collection[str]) -> list[str]:
    """Fields without which the rows are loaded all the same."""
    return [name for name in fields if name not in (*resource.needed, *getattr(resource, "for_each", ()))]


def _is_requested(resource: Resource, row: Row, params: Row) -> bool:
    """True if the row is in the requested period, and of what is requested beside it."""
    if not isinstance(resource, Report):
        return True
    if any(params[name] != row[name] for name in resource.for_each):
        return False
    if resource.period == BY_FILTER:
        bounds = {part["operator"]: part["value"] for part in params["filter"]["filters"]}
        return bool(bounds[">="] <= row[resource.cursor] <= bounds["<="])
    moment = TIME if resource.period == BY_DAY else row[resource.cursor]
    return bool(params["date_from"][: len(moment)] <= moment <= params["date_till"])
