"""Any JSON in a field is loaded, and nothing is lost; a row without key or time is rejected alone."""

import json
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

import dlt
import pendulum
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from comagic.catalog import DAY, LIST, OBJECT, Field, Report, Resource, resources
from comagic.extract.convert import to_text
from comagic.extract.privacy import Privacy
from comagic.extract.rows import IdentifiedRow, RejectedRow, identify
from comagic.extract.transform import RowTransformer
from comagic.sandbox import Switches
from comagic.settings import Settings
from tests.support.accounts import LONG_AGO, TODAY, access_to, differences, expected_calls, recent_account
from tests.support.processes import Command, Serve
from tests.support.sampling import SEED, examples
from tests.support.warehouses import Warehouse, sandbox_source

ZONE = pendulum.timezone("Europe/Moscow")
JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**25), 10**25) | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8) | st.sampled_from(["12", "2026-01-02 03:04:05", "0001-01-01 00:00:00", "true", "1e400", ""]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["id", "a"]), inner, max_size=3),
    max_leaves=6,
)  # fmt: skip
ODD: tuple[Any, ...] = (
    None, True, 0, 7, -1, 10**25, 1.5, 1e300, "", "abc", "12", "0001-01-01 00:00:00", "2026-01-02", "🏠 кот",
    [], [None], ["a", 1, {"b": [2]}], [[1], [2, [3]]], {}, {"x": None}, {"x": {"y": [1]}}, [{"x": 10**25}],
)  # fmt: skip


def plain_row(resource: Resource, key: int) -> dict[str, Any]:
    """A row with nothing but what it needs."""
    row: dict[str, Any] = {resource.primary_key: key}
    if isinstance(resource, Report):
        row[resource.cursor] = "2026-03-01" if resource.cursor_field.type == DAY else "2026-03-01 12:00:00"
    for name in resource.key_of:
        row.setdefault(name, key)
    return row


def free_fields(resource: Resource) -> list[str]:
    return [name for name in resource.fields if name not in resource.needed]


@given(data=st.data())
@settings(deadline=None, database=None, max_examples=examples(300))
def test_any_json_value_in_any_field_is_kept(data: st.DataObject) -> None:
    resource = data.draw(st.sampled_from([one for one in resources().values() if free_fields(one)]))
    name = data.draw(st.sampled_from(free_fields(resource)))
    value = data.draw(JSON_VALUES)
    row = {**plain_row(resource, 1), name: value}
    transformer = RowTransformer(resource, ZONE)
    (item,) = identify(resource, [row], ZONE)
    assert isinstance(item, IdentifiedRow)
    (done,) = transformer.transform([item.row])
    field = resource.fields[name]
    variant = done.get(f"{name}__v_text")
    assert (variant is not None) == any(misfit.field == name for misfit in transformer.misfits)
    if value is None:
        assert name not in done
    elif field.type == LIST:
        given_items = [one for one in (value if isinstance(value, list) else [value]) if one is not None]
        assert len(done[name]) == len(given_items)
    elif field.type == OBJECT:
        assert (variant == to_text(value)) if not isinstance(value, dict) else variant is None
    elif variant is not None:
        assert variant == to_text(value)
    else:
        assert fits(field, done[name])


def fits(field: Field, value: Any) -> bool:
    if field.type == "bigint":
        return type(value) is int and -(2**63) <= value < 2**63
    expected: dict[str, Any] = {"text": str, "double": float, "bool": bool, "timestamp": datetime, "date": date}
    return isinstance(value, expected.get(field.type, (dict, list)))


@pytest.mark.parametrize(
    ("kind", "value", "converted"),
    [
        ("bigint", "12", 12), ("bigint", 12.0, 12), ("bigint", True, 1), ("bigint", "-7", -7),
        ("double", "1.5", 1.5), ("double", 3, 3.0), ("bool", 1, True), ("bool", "false", False),
        ("text", 79160000000, "79160000000"), ("text", True, "true"), ("text", {"a": 1}, '{"a": 1}'),
        ("date", "2026-01-02 03:04:05", date(2026, 1, 2)),
        ("timestamp", "2026-01-02", datetime(2026, 1, 1, 21, tzinfo=UTC)),
        ("timestamp", "2026-01-02T03:04:05+00:00", datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)),
    ],
)  # fmt: skip
def test_scalar_in_another_json_type_is_converted(kind: str, value: Any, converted: Any) -> None:
    calls = resources()["calls"]
    name = {
        "bigint": "total_duration", "double": "sale_cost", "bool": "is_lost", "text": "contact_phone_number",
        "timestamp": "finish_time", "date": "",
    }[kind]  # fmt: skip
    if kind == "date":
        field = Field("day", "date", "A day.")
        calls = type(calls)(**{**vars(calls), "fields": {**calls.fields, "day": field}})
        name = "day"
    assert calls.fields[name].type == kind
    transformer = RowTransformer(calls, ZONE)
    (done,) = transformer.transform([{**plain_row(calls, 1), name: value}])
    assert done[name] == converted
    assert transformer.misfits == []


@pytest.mark.parametrize(
    ("excluded", "expected"),
    [((), [{"ip": "192.0.2.7"}, {"ip": "192.0.2.8"}]), (("sip_lines/ip_addresses.ip",), [{}, {}])],
)
def test_scalars_in_place_of_objects_are_the_field_that_a_brand_sends_alone(excluded: Any, expected: Any) -> None:
    """Addresses of SIP lines are objects in CoMagic, texts in CallGear."""
    privacy = Privacy.from_settings(Settings(exclude_fields=excluded)).for_resource(resources()["sip_lines"])
    transformer = RowTransformer(resources()["sip_lines"], ZONE, privacy)
    (done,) = transformer.transform([{"id": 1, "ip_addresses": [{"ip": "192.0.2.7"}, "192.0.2.8"]}])
    assert (done["ip_addresses"], transformer.misfits) == (expected, [])


@pytest.mark.expensive
def test_odd_values_in_every_field_of_every_resource_load_into_duckdb(
    serve: Serve, warehouse: Warehouse, place: Path
) -> None:
    """All through dlt at once: each row has one odd value; its key comes back, once."""
    chance = Random(SEED)
    sandbox = serve(recent_account(1))
    counts: dict[str, int] = {}

    @dlt.source(name="comagic", max_table_nesting=1)
    def odd_source() -> Any:
        hinted = sandbox_source(sandbox, *resources())
        for name, resource in resources().items():
            rows = [
                {**plain_row(resource, key), field: chance.choice(ODD)}
                for key, field in enumerate(free_fields(resource) * 2, start=1)
            ]
            identified = [item.row for item in identify(resource, rows, ZONE) if isinstance(item, IdentifiedRow)]
            counts[name] = len({row[resource.primary_key] for row in identified})
            made = RowTransformer(resource, ZONE).transform(identified)
            yield dlt.resource([made], name=name, primary_key=resource.primary_key, **hints(hinted.resources[name]))

    warehouse.pipeline.run(odd_source(), loader_file_format="parquet").raise_on_failed_jobs()
    for name, count in counts.items():
        if count:
            assert warehouse.query(f"SELECT count(*) FROM {name}") == [(count,)], name


def hints(resource: Any) -> dict[str, Any]:
    """The column hints of a real resource."""
    return {"columns": resource.columns, "nested_hints": resource.nested_hints}


def test_values_that_do_not_fit_are_loaded_beside_their_column_and_reported(
    serve: Serve, command: Command, place: Path
) -> None:
    account = recent_account()
    switches = Switches(values={"get.calls_report": {"total_duration": "long", "talk_duration": "7"}})
    outcome = command(**access_to(serve(account, switches)))
    assert outcome.code == 0, outcome.err
    warehouse = Warehouse(place)
    ((calls, durations, texts, talks),) = warehouse.query(
        "SELECT count(*), count(total_duration), count(*) FILTER (total_duration__v_text = 'long'), "
        "count(*) FILTER (talk_duration = 7) FROM calls"
    )
    assert calls == texts == talks == len(expected_calls(account, LONG_AGO))
    assert durations == 0
    assert f"{calls} values do not fit their column" in outcome.out
    assert "total_duration of " in outcome.out
    counted = warehouse.query("SELECT sum(values_not_converted), min(problems) FROM load_windows")
    assert counted[0][0] == calls
    assert "total_duration of" in counted[0][1]


def test_rows_without_key_or_time_are_rejected_alone(serve: Serve, command: Command, place: Path) -> None:
    account = recent_account(20)

    def spoil(response: dict[str, Any]) -> dict[str, Any]:
        rows = response.get("result", {}).get("data")
        if isinstance(rows, list) and len(rows) > 3 and "start_time" in rows[0]:
            rows[0]["id"] = None
            rows[1]["id"] = "x7"
            rows[2]["start_time"] = "soon"
        return response

    sandbox = serve(account, alter_answer=spoil)
    environment = access_to(sandbox, SOURCES__COMAGIC__EXCLUDE_FIELDS="contact_full_name")
    outcome = command(**environment, SOURCES__COMAGIC__WINDOW_DAYS="80")
    assert outcome.code == 1
    assert "3 rows without a key or time are in the table rejected_rows" in outcome.err
    warehouse = Warehouse(place)
    rejected = warehouse.query("SELECT resource, reason, content, window_start FROM rejected_rows ORDER BY reason")
    assert [reason for _, reason, _, _ in rejected] == ['id is "x7"', "id is null", 'start_time is "soon"']
    assert {resource for resource, *_ in rejected} == {"calls"}
    assert all("contact_full_name" not in json.loads(content) for _, _, content, _ in rejected)
    lost = len(expected_calls(account, LONG_AGO)) - len(warehouse.calls())
    assert lost == 3
    assert warehouse.query("SELECT sum(rows_rejected) FROM load_windows") == [(3,)]

    assert command(**environment, SOURCES__COMAGIC__WINDOW_DAYS="80").code == 1
    assert warehouse.query("SELECT count(*) FROM rejected_rows WHERE reason LIKE 'id%'")[0][0] <= 4, "once each"
    sandbox.alter_answer = lambda response: response
    first = f"{TODAY - timedelta(days=40)}"
    assert command("load", "--since", first, **access_to(sandbox)).code == 0
    assert differences(warehouse.calls(), expected_calls(account, LONG_AGO)) == []


def test_rejected_dictionary_entry_leaves_the_others(serve: Serve, command: Command, place: Path) -> None:
    account = recent_account(1)

    def spoil(response: dict[str, Any]) -> dict[str, Any]:
        rows = response.get("result", {}).get("data")
        if isinstance(rows, list) and rows and "is_system" in rows[0]:
            rows[0]["id"] = {"odd": 1}
        return response

    outcome = command("load", "--resource", "tags", **access_to(serve(account, alter_answer=spoil)))
    assert outcome.code == 1
    warehouse = Warehouse(place)
    assert warehouse.query("SELECT count(*) FROM tags") == [(len(account.dictionaries["tags"]) - 1,)]
    assert warehouse.query("SELECT resource, reason FROM rejected_rows") == [("tags", 'id is {"odd": 1}')]
    assert warehouse.query("SELECT rows_rejected, rows_loaded + 1 = rows_received FROM load_windows") == [(1, True)]


def test_rejected_row_keeps_no_personal_data() -> None:
    calls = resources()["calls"]
    privacy = Privacy(
        excluded=frozenset({"contact_full_name", "tags.tag_user_login"}),
        pseudonymized=frozenset({"contact_phone_number", "employees.employee_full_name"}),
        key="a key that is long enough",
    )
    row = {
        "id": None,
        "contact_full_name": "Anna",
        "contact_phone_number": 79160000001,
        "tags": [{"tag_user_login": "anna", "tag_name": "lead"}, "anna"],
        "employees": [{"employee_full_name": "Boris"}],
    }
    redact = RowTransformer(calls, ZONE, privacy).redact_to_json
    (rejected,) = identify(calls, [row], ZONE, redact)
    assert isinstance(rejected, RejectedRow)
    for secret in ("Anna", "anna", "79160000001", "Boris"):
        assert secret not in rejected.content
    assert "lead" in rejected.content
    (other,) = identify(calls, [{**row, "contact_full_name": "Carl"}], ZONE, redact)
    assert isinstance(other, RejectedRow)
    assert other.id == rejected.id, "or the id tells whether a guess at what was removed is right"
