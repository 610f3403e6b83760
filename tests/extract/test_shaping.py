"""Pages that a second process decodes and transforms become the same rows, and odd ones are left to this process."""

import json
import multiprocessing
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import dlt
import pendulum
import pytest
from dlt.common.json import json as dlt_json

from comagic.api.responses import decode
from comagic.catalog import PARTITION_DATE, Report, reports
from comagic.extract.privacy import Privacy
from comagic.extract.rows import IdentifiedRow, identify
from comagic.extract.shaping import MIN_ROWS, ShapingProcess, can_shape, shape
from comagic.extract.transform import RowTransformer
from comagic.load.normalizing import can_use_workers, start_process
from tests.support.accounts import LONG_AGO, access_to, differences, expected_calls, recent_account
from tests.support.processes import Command, Serve
from tests.support.shaping import use_from_the_first_page
from tests.support.warehouses import Warehouse

pytestmark = pytest.mark.skipif(not can_use_workers(), reason="needs Linux with two cores")

CALLS = reports()["calls"]
MOSCOW = pendulum.timezone("Europe/Moscow")
CALL = {
    "id": 1,
    "start_time": "2026-03-02 01:02:03",
    "contact_phone_number": "79001234567",
    "campaign_name": "Поиск",
    "is_lost": None,
    "tags": [{"tag_id": 7, "tag_name": "Новый"}],
}
PRIVATE = Privacy(frozenset(["campaign_name"]), frozenset(["contact_phone_number"]), "0123456789abcdef" * 2)
WINDOWS = {"SOURCES__COMAGIC__WINDOW_DAYS": "3"}


def body_of(*rows: Any, **more: Any) -> bytes:
    """The body of a response with rows."""
    response = {"jsonrpc": "2.0", "id": 5, "result": {"data": rows, "metadata": {"total_items": 2}}, **more}
    return json.dumps(response, ensure_ascii=False).encode()


@contextmanager
def ready(privacy: Privacy, report: Report = CALLS) -> Iterator[ShapingProcess]:
    """A second process that is ready."""
    process = ShapingProcess(report, MOSCOW, privacy, start_process)
    process.announce(MIN_ROWS)
    assert process._starter
    process._starter.join()
    assert process.is_ready
    yield process
    process.close()


@pytest.fixture
def process() -> Iterator[ShapingProcess]:
    """A second process that is ready."""
    with ready(Privacy()) as process:
        yield process


@pytest.mark.parametrize("privacy", [Privacy(), PRIVATE])
def test_rows_are_those_that_dlt_would_write(privacy: Privacy) -> None:
    calls = [CALL, {**CALL, "id": "2", "start_time": "2026-03-02 23:59:59", "tags": None}]
    page = shape(CALLS, MOSCOW, RowTransformer(CALLS, MOSCOW, privacy), body_of(*calls))
    assert page
    expected = RowTransformer(CALLS, MOSCOW, privacy).transform([CALL, {**calls[1], "id": 2}])
    assert [dlt_json.typed_loadb(row) for row in page.rows] == expected
    assert (list(page.keys), list(page.days)) == ([1, 2], [row[PARTITION_DATE] for row in expected])
    assert page.times == [call["start_time"] for call in calls]
    assert page.decoded.response["result"]["metadata"] == {"total_items": 2}
    personal = [str(CALL[name]).encode() for name in (*privacy.excluded, *privacy.pseudonymized)]
    assert not any(value in row for value in personal for row in page.rows)


def test_rows_of_the_process_have_what_reading_needs_and_their_json() -> None:
    with ready(PRIVATE) as process:
        decoded = process(body_of(CALL))
    assert decoded
    (row,) = decoded.response["result"]["data"]
    assert {name: row[name] for name in ("id", "start_time")} == {"id": 1, "start_time": "2026-03-02 01:02:03"}
    expected = RowTransformer(CALLS, MOSCOW, PRIVATE).transform([CALL])
    assert dlt_json.typed_loads(dlt_json.typed_dumps([row.json])) == expected
    assert decoded.share == decode("", body_of(CALL)).share


@pytest.mark.parametrize("name", [report.name for report in reports().values() if can_shape(report)])
def test_rows_of_the_process_have_the_same_key_and_time(name: str) -> None:
    report = reports()[name]
    same = {report.cursor: "2026-03-02 01:02:03"}
    rows = [{**dict.fromkeys(report.fields, n), report.primary_key: str(n), **same} for n in (1, 2)]
    body = body_of(*({name: row[name] for name in {*report.key_of, report.primary_key, report.cursor}} for row in rows))
    with ready(Privacy(), report) as process:
        decoded = process(body)
    assert decoded
    found = [identify(report, one.response["result"]["data"], MOSCOW) for one in (decoded, decode("", body))]
    shaped, plain = ([row[1:] for row in rows if isinstance(row, IdentifiedRow)] for rows in found)
    assert len(plain) == 2
    assert shaped == plain


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(body_of(error={"code": -32000, "message": "x"}), id="error"),
        pytest.param(b"<html>", id="no JSON"),
        pytest.param(b"[]", id="no object"),
        pytest.param(b'{"result": null}', id="no result"),
        pytest.param(b'{"result": {"data": {"id": 1}}}', id="an object for rows"),
        pytest.param(body_of(CALL, 5), id="no row"),
        pytest.param(body_of({**CALL, "id": None}), id="no key"),
        pytest.param(body_of({**CALL, "start_time": "soon"}), id="no time"),
        pytest.param(body_of({**CALL, "talk_duration": "long"}), id="a value that does not fit"),
        pytest.param(body_of({**CALL, "new_key": 1}), id="an unknown key"),
        pytest.param(body_of({**CALL, "tags": [{"new_key": 1}]}), id="an unknown key in a list"),
        pytest.param(body_of(CALL).replace("Поиск".encode(), b"\xff"), id="no UTF-8"),
        pytest.param(body_of({**CALL, "campaign_name": "\uf0271"}), id="a mark of dlt's JSON"),
        pytest.param(
            body_of({**CALL, "campaign_name": [[[]]] * 2}).replace(b"[[]]", b"[" * 200 + b"]" * 200), id="deep"
        ),
    ],
)
def test_odd_pages_are_left_to_this_process(body: bytes) -> None:
    assert shape(CALLS, MOSCOW, RowTransformer(CALLS, MOSCOW), body) is None


def test_a_process_that_leaves_pages_is_not_asked_again(process: ShapingProcess) -> None:
    odd = body_of({**CALL, "talk_duration": "long"})
    answers = [process(body) for body in (odd, body_of(CALL), odd, odd, body_of(CALL))]
    assert [answer is not None for answer in answers] == [False, True, False, False, False]
    assert not process.is_ready


def test_a_process_that_died_is_as_none(process: ShapingProcess) -> None:
    assert process(body_of({**CALL, "id": None})) is None
    was_ready = process.is_ready
    assert process._process
    assert process._process.pid
    os.kill(process._process.pid, signal.SIGKILL)
    process._process.join()
    assert process(body_of(CALL)) is None
    assert (was_ready, process.is_ready) == (True, False)
    assert process(body_of(CALL)) is None


def test_a_process_ends_with_the_reading_also_if_it_is_not_ready_by_then(process: ShapingProcess) -> None:
    late = ShapingProcess(CALLS, MOSCOW, Privacy(), start_process)
    late.announce(MIN_ROWS)
    late.close()
    assert late._starter
    late._starter.join()
    process.close()
    assert [one.is_ready for one in (late, process)] == [False, False]
    for child in multiprocessing.active_children():
        child.join(timeout=20)
    assert multiprocessing.active_children() == []


def test_few_rows_need_no_second_process() -> None:
    process = ShapingProcess(CALLS, MOSCOW, Privacy(), start_process)
    starters = []
    for rows in (MIN_ROWS - 1, 1):
        process.announce(rows)
        starters.append(process._starter)
    assert starters[0] is None
    assert starters[1]
    starters[1].join()
    process.close()


def test_tables_are_the_same_and_rows_have_the_same_hash(
    serve: Serve, command: Command, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    account = recent_account()
    sandbox = serve(account)
    with monkeypatch.context() as patch:
        taken = use_from_the_first_page(patch)
        assert command(**access_to(sandbox), **WINDOWS).code == 0
    assert True in taken
    assert differences(Warehouse(place).calls(), expected_calls(account, LONG_AGO)) == []
    tables = ("calls", "calls__tags", "calls__employees", "calls__call_records")
    before = [Warehouse(place).query(f"SELECT * FROM {table} ORDER BY _dlt_id") for table in tables]
    assert all(before)
    again = command("--since", "2020-01-01", **access_to(sandbox), **WINDOWS)
    assert again.code == 0, again.err
    after = [Warehouse(place).query(f"SELECT * FROM {table} ORDER BY _dlt_id") for table in tables]
    assert after == before, "rows that have not changed keep their load id"
    assert multiprocessing.active_children() == []


def test_a_step_that_a_user_has_added_gets_rows(
    serve: Serve, command: Command, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken = use_from_the_first_page(monkeypatch)
    run = dlt.Pipeline.run

    def run_with_step(pipeline: dlt.Pipeline, source: Any, **arguments: Any) -> Any:
        source.resources["calls"].add_map(lambda row: {**row, "campaign_name": "mapped"})
        return run(pipeline, source, **arguments)

    monkeypatch.setattr(dlt.Pipeline, "run", run_with_step)
    assert command(**access_to(serve(recent_account())), **WINDOWS).code == 0
    assert Warehouse(place).query("SELECT DISTINCT campaign_name FROM calls") == [("mapped",)]
    assert taken == []
