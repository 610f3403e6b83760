"""Results in every shape that the manuals show are loaded whole."""

from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from comagic.catalog import resources
from comagic.extract.progress import Progress
from comagic.sandbox import Switches, SyntheticAccount
from tests.support.accounts import LONG_AGO, TODAY, access_to, days_ago, differences, expected_calls, recent_account
from tests.support.processes import Command, Serve
from tests.support.sampling import sample
from tests.support.warehouses import Warehouse

SHAPES = ["bare", "meta_data", "no_total"]


@pytest.mark.parametrize("shape", SHAPES)
def test_report_without_a_total_is_read_until_a_page_is_empty(serve: Serve, warehouse: Warehouse, shape: str) -> None:
    account = recent_account(30)
    sandbox = serve(account, Switches(shapes={"get.calls_report": shape}))
    progress = Progress()
    warehouse.load(sandbox, since=datetime(TODAY.year, TODAY.month, TODAY.day).replace(year=2024), progress=progress)
    assert differences(warehouse.calls(), expected_calls(account, LONG_AGO)) == []
    assert progress.differences == []


def test_report_without_a_total_that_has_more_rows_than_a_query_reaches_is_split(
    serve: Serve, warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module, limit in (("comagic.extract.pages.MAX_OFFSET", 200), ("comagic.extract.reader.MAX_QUERY_ROWS", 250)):
        monkeypatch.setattr(module, limit)
    burst = [(datetime(2026, 3, 2, hour), 90) for hour in range(8)]
    account = SyntheticAccount(calls_per_day=0, bursts=burst)
    sandbox = serve(account, Switches(shapes={"get.calls_report": "no_total"}))
    limited = sandbox.protocol.respond

    def respond(body: bytes) -> dict[str, Any]:
        return limited(body.replace(b'"limit":10000', b'"limit":50'))

    monkeypatch.setattr(sandbox.protocol, "respond", respond)
    warehouse.load(sandbox, since=datetime(2026, 3, 1), until=datetime(2026, 3, 4))
    assert warehouse.query("SELECT count(*), count(DISTINCT id) FROM calls") == [(720, 720)]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", sample([name for name in resources() if name != "account"], 2))
def test_every_resource_is_loaded_in_every_shape(
    serve: Serve, command: Command, place: Path, name: str, shape: str
) -> None:
    account = recent_account(8)
    account.upload(days_ago(2))
    environment = access_to(serve(account), SOURCES__COMAGIC__START_DATE=str(days_ago(4).date()))
    assert command("load", "--resource", name, **environment).code == 0
    sandbox = serve(account, Switches(shapes={resources()[name].method: shape}))
    environment |= {"SOURCES__COMAGIC__BASE_URL": sandbox.base_url, "DATASET_NAME": "shaped"}
    again = command("load", "--resource", name, **environment)
    assert again.code == 0, again.err
    key = resources()[name].primary_key
    shaped, usual = (
        Warehouse(place).query(f"SELECT {key} FROM {dataset}.{name} ORDER BY 1") for dataset in ("shaped", "comagic")
    )
    assert shaped == usual != []


def test_one_object_instead_of_a_list_is_one_row(serve: Serve, command: Command, place: Path) -> None:
    sandbox = serve(recent_account(1), Switches(shapes={"get.schedules": "object"}))
    assert command("load", "--resource", "schedules", **access_to(sandbox)).code == 0
    assert Warehouse(place).query("SELECT count(*) FROM schedules") == [(1,)]


@pytest.mark.parametrize(("extra", "code"), [(1, 0), (5, 1)])
def test_dictionary_whose_total_is_one_too_high_is_loaded_and_reported(
    serve: Serve, command: Command, extra: int, code: int
) -> None:
    sandbox = serve(recent_account(1), Switches(total_extra=extra))
    outcome = command("load", "--resource", "tags", **access_to(sandbox))
    assert outcome.code == code, outcome.out
    assert ("tags: the API announced 8 entries and sent 7." in outcome.out) == (code == 0)


def test_empty_result_that_does_not_say_so_is_requested_once_more(serve: Serve, warehouse: Warehouse) -> None:
    """A response that merely looks empty is how loaders lose rows in silence."""
    account = recent_account(5)
    altered: list[int] = []

    def lose_once(response: dict[str, Any]) -> dict[str, Any]:
        data = response["result"]["data"] if isinstance(response.get("result"), dict) else []
        if data and "start_time" in data[0] and not altered:
            altered.append(1)
            return {"id": response["id"], "result": {"data": []}}
        return response

    sandbox = serve(account)
    sandbox.alter_answer = lose_once
    warehouse.load(sandbox, since=datetime(TODAY.year, TODAY.month, TODAY.day).replace(year=2024))
    assert altered == [1]
    assert differences(warehouse.calls(), expected_calls(account, LONG_AGO)) == []


def test_nothing_without_a_word_about_how_much_there_is_is_reported(
    serve: Serve, command: Command, place: Path
) -> None:
    account = recent_account(5)
    account.dictionaries["tags"] = []
    sandbox = serve(account)
    sandbox.alter_answer = lambda response: (
        response if "timezone" in str(response) else {"id": response["id"], "result": []}
    )
    outcome = command("load", "--resource", "calls", "--resource", "tags", **access_to(sandbox))
    assert outcome.code == 0, outcome.err
    assert "Warning: calls: the API sent no rows, and did not say that there are none." in outcome.out
    assert "Warning: tags: the API sent no entries, and did not say that there are none" in outcome.out
    sandbox.alter_answer = lambda response: response
    outcome = command("load", "--resource", "calls", "--resource", "tags", **access_to(sandbox))
    assert (outcome.code, "did not say" in outcome.out) == (0, False), outcome.err
