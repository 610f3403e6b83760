"""The sandbox follows the API's rules, so that what works against the sandbox works against the API."""

import subprocess
import sys
from datetime import date, datetime, timedelta
from typing import Any

import orjson
import pytest
import requests

from comagic.catalog import reports
from comagic.sandbox import SandboxServer, Switches, SyntheticAccount
from comagic.sandbox.switches import KEY, LOGIN, PASSWORD
from tests.support.processes import ROOT, Serve

DAY: dict[str, Any] = {"date_from": "2026-03-02 00:00:00", "date_till": "2026-03-03 00:00:00"}
ENVELOPE = {"jsonrpc": "2.0", "id": 1, "method": "get.account", "params": {"access_token": KEY}}


def post(sandbox: SandboxServer, body: Any) -> dict[str, Any]:
    content = body if isinstance(body, bytes) else orjson.dumps(body)
    response = requests.post(sandbox.base_url, data=content, timeout=10)
    assert response.status_code == 200
    return dict(response.json())


def request(sandbox: SandboxServer, method: str = "get.calls_report", **params: Any) -> dict[str, Any]:
    return post(sandbox, {**ENVELOPE, "method": method, "params": {"access_token": KEY, **params}})


def march() -> SyntheticAccount:
    return SyntheticAccount(first_day=date(2026, 3, 1), last_day=date(2026, 3, 7), calls_per_day=100)


def test_response_has_the_documented_envelope(serve: Serve) -> None:
    response = request(serve(march()), **DAY)
    assert set(response) == {"jsonrpc", "id", "result"}
    assert response["id"] == 1
    metadata = response["result"]["metadata"]
    assert metadata["total_items"] == len(response["result"]["data"])
    spans = {f"{span}_{what}" for span in ("day", "minute") for what in ("limit", "remaining", "reset")}
    assert set(metadata["limits"]) == spans
    assert metadata["version"] is None


def test_request_without_fields_returns_the_documented_default_fields(serve: Serve) -> None:
    row = request(serve(march()), **DAY)["result"]["data"][0]
    assert set(row) == {name for name, field in reports()["calls"].fields.items() if field.sent}


@pytest.mark.parametrize(
    ("body", "mnemonic"),
    [
        (b"{", "parse_error"),
        (b"", "parse_error"),
        ([ENVELOPE], "batch_opreations_not_supported"),
        ({**ENVELOPE, "id": None}, "notifications_not_supported"),
        ({**ENVELOPE, "jsonrpc": "1.0"}, "invalid_request"),
        ({**ENVELOPE, "params": []}, "invalid_request"),
        ({**ENVELOPE, "method": "get.nothing"}, "method_not_found"),
        ({**ENVELOPE, "params": {}}, "required_parameter_missed"),
        ({**ENVELOPE, "params": {"access_token": "x"}}, "access_token_invalid"),
        ({**ENVELOPE, "params": {"access_token": "expired-key"}}, "access_token_expired"),
        ({**ENVELOPE, "params": {"access_token": "blocked-key"}}, "access_token_blocked"),
        ({**ENVELOPE, "method": "login.user", "params": {"login": LOGIN, "password": "x"}}, "auth_error"),
    ],
)
def test_invalid_request_is_rejected_with_status_200_and_its_mnemonic(serve: Serve, body: Any, mnemonic: str) -> None:
    error = post(serve(), body)["error"]
    assert error["data"]["mnemonic"] == mnemonic
    assert set(error["data"]) == {"mnemonic", "field", "value", "params", "extended_helper", "metadata"}


@pytest.mark.parametrize(
    ("params", "mnemonic"),
    [
        ({"date_till": "2026-03-03 00:00:00"}, "required_parameter_missed"),
        ({**DAY, "date_from": "2026-03-02"}, "data_type_error"),
        ({**DAY, "date_from": "2026-03-04 00:00:00"}, "invalid_parameters_combination"),
        ({**DAY, "date_from": "2025-12-02 23:59:59"}, "date_interval_limit_reached"),
        ({**DAY, "limit": 10_001}, "invalid_parameter_value"),
        ({**DAY, "limit": "10"}, "data_type_error"),
        ({**DAY, "offset": 100_001}, "invalid_parameter_value"),
        ({**DAY, "fields": ["id", "nothing"]}, "unexpected_parameters"),
        ({**DAY, "sort": [{"field": "nothing"}]}, "unexpected_parameters"),
        ({**DAY, "sort": [{"field": "id"}]}, "sort_prohibited"),
        ({**DAY, "sort": [{"field": "finish_time"}]}, "sort_prohibited"),
        ({**DAY, "filter": {"field": "start_time", "operator": "=", "value": 1}}, "filter_prohibited"),
        ({**DAY, "filter": {"field": "nothing", "operator": "=", "value": 1}}, "unexpected_parameters"),
        ({**DAY, "page": 2}, "unexpected_parameters"),
        ({**DAY, "user_id": "me"}, "data_type_error"),
    ],
)
def test_invalid_parameter_is_rejected_with_its_mnemonic(serve: Serve, params: dict[str, Any], mnemonic: str) -> None:
    assert request(serve(march()), **params)["error"]["data"]["mnemonic"] == mnemonic


def test_period_of_ninety_days_is_allowed(serve: Serve) -> None:
    assert "result" in request(serve(march()), date_from="2025-12-03 00:00:00", date_till="2026-03-03 00:00:00")


@pytest.mark.parametrize(("bounds", "edges"), [("[]", 2), ("[)", 1), ("(]", 1), ("()", 0)])
def test_bounds_switch_includes_or_excludes_the_edges_of_the_period(serve: Serve, bounds: str, edges: int) -> None:
    moments = [datetime(2026, 3, 2), datetime(2026, 3, 3), datetime(2026, 3, 2, 12)]
    account = SyntheticAccount(calls_per_day=0, bursts=[(moment, 1) for moment in moments])
    assert request(serve(account, Switches(bounds=bounds)), **DAY)["result"]["metadata"]["total_items"] == 1 + edges


def test_rows_are_sorted_only_on_request(serve: Serve) -> None:
    sandbox = serve(march(), Switches(shuffled=True))
    times = [row["start_time"] for row in request(sandbox, **DAY)["result"]["data"]]
    assert times != sorted(times)
    times = [row["start_time"] for row in request(sandbox, **DAY, sort=[{"field": "start_time"}])["result"]["data"]]
    assert times == sorted(times)
    times = [
        row["start_time"]
        for row in request(sandbox, **DAY, sort=[{"field": "start_time", "order": "desc"}])["result"]["data"]
    ]
    assert times == sorted(times, reverse=True)


def test_filter_returns_matching_rows_only(serve: Serve) -> None:
    sandbox = serve(march())
    condition = {"field": "is_lost", "operator": "=", "value": True}
    both = {"filters": [condition, {"field": "site_id", "operator": "in", "value": [11]}], "condition": "and"}
    rows = request(sandbox, **DAY, filter=both, fields=["is_lost", "site_id"])["result"]["data"]
    assert rows
    assert all(row == {"is_lost": True, "site_id": 11} for row in rows)


def test_pages_add_up_to_the_whole_result(serve: Serve) -> None:
    sandbox = serve(march())
    by_time: dict[str, Any] = {"sort": [{"field": "start_time"}]}
    whole = request(sandbox, **DAY, **by_time)["result"]["data"]
    pages = [
        request(sandbox, **DAY, **by_time, limit=30, offset=offset)["result"]["data"] for offset in range(0, 150, 30)
    ]
    assert [row for page in pages for row in page] == whole


def test_ongoing_calls_are_returned_only_on_request(serve: Serve) -> None:
    account = SyntheticAccount(calls_per_day=0, bursts=[(datetime(2026, 3, 2, 12), 50)])
    now = datetime.fromisoformat("2026-03-02T12:00:05+03:00")
    sandbox = serve(account, now=lambda: now)
    ended = request(sandbox, **DAY)["result"]["metadata"]["total_items"]
    rows = request(sandbox, **DAY, include_ongoing_calls=True)["result"]["data"]
    assert ended < len(rows) == 50
    assert sum(row["finish_time"] is None for row in rows) == 50 - ended


def test_session_token_expires(serve: Serve) -> None:
    clock = [0.0]
    sandbox = serve(clock=lambda: clock[0])
    opened = request(sandbox, "login.user", login=LOGIN, password=PASSWORD)["result"]["data"]
    assert set(opened) == {"access_token", "expire_at", "app_id"}
    body = {**ENVELOPE, "params": {"access_token": opened["access_token"]}}
    clock[0] = 3_599
    assert "result" in post(sandbox, body)
    clock[0] = 3_601
    assert post(sandbox, body)["error"]["data"]["mnemonic"] == "access_token_invalid"


def test_only_successful_requests_count_against_the_quota(serve: Serve) -> None:
    clock = [0.0]
    sandbox = serve(switches=Switches(minute_limit=2, day_limit=3), clock=lambda: clock[0])
    request(sandbox, "get.account")
    request(sandbox, "get.nothing")
    request(sandbox, "get.account")
    assert request(sandbox, "get.account")["error"]["data"]["params"]["limit_type"] == "minute"
    clock[0] = 61
    assert "result" in request(sandbox, "get.account")
    assert request(sandbox, "get.account")["error"]["data"]["params"]["limit_type"] == "day"


def test_account_is_reproducible_and_realistic() -> None:
    far = datetime(2100, 1, 1)
    first, second = (list(march().calls(datetime(2026, 3, 1), datetime(2026, 3, 8), far)) for _ in range(2))
    assert first == second
    assert len({call["id"] for call in first}) == len(first) > 400
    assert all(call["id"] > 2**32 for call in first)
    assert 0.1 < sum(call["is_lost"] for call in first) / len(first) < 0.3
    assert any(call["tags"] is None for call in first)
    assert any(call["campaign_id"] == -1 for call in first)
    assert 1 < len(first) / len({call["visitor_id"] for call in first}) < 3
    hours = [datetime.fromisoformat(call["start_time"]).hour for call in first]
    assert hours.count(11) > 5 * hours.count(3)
    other = list(
        SyntheticAccount(seed=2, first_day=date(2026, 3, 1)).calls(datetime(2026, 3, 1), datetime(2026, 3, 2), far)
    )
    assert other[0] != first[0]


@pytest.mark.expensive
def test_page_deep_in_millions_of_calls_is_made_without_the_calls_before_it() -> None:
    account = SyntheticAccount(first_day=date(2020, 1, 1), calls_per_day=50_000)
    start, far = datetime(2020, 1, 1), datetime(2100, 1, 1)
    rows = list(account.calls(start, start + timedelta(days=89), far, offset=3_000_000, limit=10))
    assert len(rows) == 10
    assert account.count(start, start + timedelta(days=89), far) > 3_500_000


def control_over_http(credentials: dict[str, str]) -> None:
    control = credentials["base_url"].replace("/v2.0", "/sandbox")
    upload = {"upload": {"start_time": "2026-03-02 12:00:00", "talk_duration": 5}, "switches": {"bounds": "[)"}}
    uploaded = requests.post(control, json=upload, timeout=10).json()["id"]
    params = {"access_token": credentials["access_token"], **DAY}
    body = {**ENVELOPE, "method": "get.calls_report", "params": params}
    result = requests.post(credentials["base_url"], json=body, timeout=10).json()["result"]
    assert [(row["id"], row["talk_duration"]) for row in result["data"]] == [(uploaded, 5)]
    assert result["metadata"]["total_items"] == 1 + 3
    assert requests.post(control, json={"switches": {"nothing": 1}}, timeout=10).status_code == 400
    requests.post(control, json={"switches": {"client_errors": {"7": "forbidden"}}}, timeout=10).raise_for_status()
    body["params"] = {**params, "user_id": 7}
    error = requests.post(credentials["base_url"], json=body, timeout=10).json()["error"]
    assert error["data"]["mnemonic"] == "forbidden"
    assert requests.get(control, timeout=10).json()["requests"] == 2


def test_another_process_can_start_and_control_the_sandbox() -> None:
    command = [sys.executable, "-m", "comagic.sandbox", "--calls-per-day", "0", "--switch", "total_extra=3"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout
            control_over_http(orjson.loads(process.stdout.readline()))
        finally:
            process.terminate()
    assert process.returncode == 0


@pytest.mark.parametrize("switch", ["bounds", "nothing=1", "faults=reset"])
def test_invalid_switch_on_the_command_line_is_an_error_of_usage(switch: str) -> None:
    command = [sys.executable, "-m", "comagic.sandbox", "--switch", switch]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 2
    assert "Invalid value for --switch" in ended.stderr
