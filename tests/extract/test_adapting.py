"""Each brand's API is asked for what it has; what it does not accept is left out and reported, the rest is loaded."""

import json
from datetime import timedelta
from pathlib import Path

import pytest

from comagic.catalog import Resource, resources
from comagic.sandbox import Switches
from tests.support.accounts import TODAY, access_to, recent_account, resource_options
from tests.support.processes import Command, Serve
from tests.support.sampling import sample
from tests.support.warehouses import Warehouse

DAYS_AGO = str(TODAY - timedelta(days=5))
ALL = [name for name, one in resources().items() if name != "account" and not one.is_opt_in]
WITH_FIELDS = [name for name in ALL if len(resources()[name].fields) > 1 and not resources()[name].rows_in]
"""Resources of which a request names the fields, and more than the key."""


def a_field_to_do_without(resource: Resource) -> str:
    """The last of the resource's fields that is requested and that no key needs."""
    for_each = getattr(resource, "for_each", ())
    names = [
        name
        for name, field in resource.fields.items()
        if name not in (*resource.needed, *for_each) and not field.retired and not getattr(field, "children", None)
    ]
    selected = [name for name in names if resource.name != "calls" or resource.fields[name].selected]
    return selected[-1]


def count(warehouse: Warehouse, table: str) -> int:
    """Rows of a table; 0 if nothing was ever loaded into it."""
    exists = warehouse.query(f"SELECT count(*) FROM duckdb_tables() WHERE table_name = '{table}'") == [(1,)]
    return int(warehouse.query(f"SELECT count(*) FROM {table}")[0][0]) if exists else 0


@pytest.mark.parametrize("name", sample(WITH_FIELDS, 3))
def test_field_that_the_api_does_not_accept_is_left_out_once_and_reported(
    serve: Serve, command: Command, place: Path, name: str
) -> None:
    resource = resources()[name]
    field = a_field_to_do_without(resource)
    sandbox = serve(recent_account(1))
    environment = access_to(sandbox, SOURCES__COMAGIC__START_DATE=DAYS_AGO)
    assert command("load", "--resource", name, **environment).code == 0
    before = sandbox.requests
    assert command("load", "--resource", name, "--since", DAYS_AGO, **environment).code == 0
    requests = sandbox.requests - before
    warehouse = Warehouse(place)
    rows = count(warehouse, name)
    sandbox.switches.lacking = {resource.method: [field]}
    before = sandbox.requests
    outcome = command("load", "--resource", name, "--since", DAYS_AGO, **environment)
    assert outcome.code == 0, outcome.err
    assert f"{name}: the API does not accept the field {field}; all else is loaded." in outcome.out
    assert sandbox.requests - before == requests + 1, "once for the field, then as before"
    assert count(warehouse, name) == rows
    excluded = {**environment, "SOURCES__COMAGIC__EXCLUDE_FIELDS": f'["{name}/{field}"]'}
    quiet = command("load", "--resource", name, "--since", DAYS_AGO, **excluded)
    assert (quiet.code, "does not accept" in quiet.out) == (0, False), quiet.out


def test_values_of_a_field_that_is_refused_stay_and_several_are_left_out(
    serve: Serve, command: Command, place: Path
) -> None:
    sandbox = serve(recent_account(1))
    environment = access_to(sandbox)
    assert command("load", **environment).code == 0
    warehouse = Warehouse(place)
    sql = "SELECT count(campaign_name), count(total_duration), count(*) FROM calls"
    before = warehouse.query(sql)
    sandbox.switches.lacking = {"get.calls_report": ["campaign_name", "total_duration"]}
    outcome = command("load", "--since", str(TODAY - timedelta(days=28)), **environment)
    assert outcome.code == 0, outcome.err
    assert warehouse.query(sql) == before
    assert outcome.out.count("does not accept the field") == 2
    assert sandbox.calls["get.calls_report"] < 30


def test_key_that_is_refused_stops_the_resource_alone(serve: Serve, command: Command) -> None:
    sandbox = serve(recent_account(1), Switches(lacking={"get.tags": ["id"], "get.calls_report": ["start_time"]}))
    outcome = command("load", *resource_options("calls", "tags", "sites"), **access_to(sandbox))
    assert outcome.code == 1
    for text in ("get.tags: ", "get.calls_report: ", "sites: "):
        assert text in outcome.out


@pytest.mark.parametrize("name", sample(ALL, 2))
def test_method_that_is_gone_is_a_missing_component(serve: Serve, command: Command, name: str) -> None:
    method = resources()[name].method
    sandbox = serve(recent_account(0.2), Switches(errors={method: "method_not_found"}))
    environment = access_to(sandbox, SOURCES__COMAGIC__START_DATE=DAYS_AGO)
    other = "statuses" if name != "statuses" else "segments"
    outcome = command("load", *resource_options(name, other), **environment)
    is_optional = bool(resources()[name].component)  # an account may do without these anyway
    assert (outcome.code, f"{method}: " in outcome.out) == (0 if is_optional else 1, True), outcome.out
    assert f"{other}: " in outcome.out
    optional = {**environment, "SOURCES__COMAGIC__OPTIONAL_RESOURCES": f'["{name}"]'}
    outcome = command("load", *resource_options(name, other), **optional)
    assert (outcome.code, f"Skipped: {name}. {method}" in outcome.out) == (0, True), outcome.out


@pytest.mark.expensive(16)
@pytest.mark.parametrize("brand", ["comagic", "callgear", "novofon"])
@pytest.mark.parametrize("is_known", [True, False], ids=["known", "unknown"])
def test_everything_of_each_brand_is_loaded_and_what_it_lacks_is_named(
    serve: Serve, command: Command, place: Path, monkeypatch: pytest.MonkeyPatch, brand: str, is_known: bool
) -> None:
    """Known: by the endpoint's host. Unknown: by what the API does not accept."""
    sandbox = serve(recent_account(0.2), Switches(brand=brand, is_retired=True))
    environment = access_to(sandbox, SOURCES__COMAGIC__START_DATE=DAYS_AGO)
    lacking = [name for name, one in resources().items() if brand in one.not_in]
    if is_known:
        monkeypatch.setattr("comagic.api.client.manual_of", lambda _: brand)
    else:
        environment |= {"SOURCES__COMAGIC__OPTIONAL_RESOURCES": json.dumps(lacking)} if lacking else {}
    outcome = command("load", "--resource", "all", **environment)
    assert outcome.code == 0, outcome.err + outcome.out
    for name in lacking:
        assert f"Skipped: {name}. " in outcome.out
    assert ("does not accept the field" in outcome.out) == (not is_known)
    loaded = {table for (table,) in Warehouse(place).query("SELECT DISTINCT resource FROM load_windows")}
    assert loaded == {"account", *ALL} - set(lacking)
    checked = command("check", **environment, SOURCES__COMAGIC__RESOURCES="all")
    assert checked.code == 0, checked.out
