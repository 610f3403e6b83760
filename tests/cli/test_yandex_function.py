"""The function at Yandex Cloud: started as the platform does, with events and requests, loading into PostgreSQL."""

import base64
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from comagic.cli.cloud_function import BadRequestError
from comagic.cli.yandex_function import UNKNOWN_MINUTES, LoadFailedError, load_minutes, request_text, serve_yandex_event
from comagic.load.runner import Load
from comagic.sandbox import SandboxServer
from comagic.sandbox.switches import KEY
from comagic_pipeline import handler
from tests.support.accounts import LONG_AGO, access_to, differences, expected_calls, recent_account
from tests.support.processes import ROOT, Outcome, Serve
from tests.support.warehouses import PostgreSQL

TIMER = "yandex.cloud.events.serverless.triggers.TimerMessage"
PLATFORM = """
import importlib, json, sys

class Context:
    function_name, function_version, memory_limit_in_mb, request_id = "d4e0", "d4e1", 2048, "r"
    token = None
    def get_remaining_time_in_millis(self):
        return 600_000

module, _, name = sys.argv[1].partition(".")
handler = getattr(importlib.import_module(module), name)
for line in sys.stdin:
    try:
        print("RESULT", json.dumps(handler(json.loads(line), Context())), flush=True)
    except Exception as error:
        print("ERROR", type(error).__name__, error, flush=True)
"""
"""What the platform's runtime does: imports the entry point once, and calls it for each event."""


def timer(payload: Any = None) -> dict[str, Any]:
    """A timer's event, as Yandex's page about timers has it."""
    details = {"trigger_id": "a1sfe084v4se"}
    if payload is not None:
        details["payload"] = payload if isinstance(payload, str) else json.dumps(payload)
    metadata = {"event_id": "a1s41g2n5g0o", "event_type": TIMER, "created_at": "2026-11-30T00:05:14.227761Z"}
    return {"messages": [{"event_metadata": metadata, "details": details}]}


def http(body: Any) -> dict[str, Any]:
    """An HTTP request with a body."""
    text = body if isinstance(body, str) else json.dumps(body)
    encoded = base64.b64encode(text.encode()).decode()
    return {"httpMethod": "POST", "headers": {}, "requestContext": {}, "body": encoded, "isBase64Encoded": True}


def call(folder: Path, environment: dict[str, str], *events: Any) -> tuple[list[Any], Outcome]:
    """Starts the function as the platform does and sends it events; returns its results and its output."""
    variables = {name: value for name, value in os.environ.items() if name != "DLT_DATA_DIR"}
    ended = subprocess.run(
        [sys.executable, "-c", PLATFORM, "comagic_pipeline.handler"],
        cwd=ROOT,
        env={**variables, **environment, "TMPDIR": str(folder), "PYTHONPATH": str(ROOT)},
        input="".join(json.dumps(event) + "\n" for event in events),
        capture_output=True,
        text=True,
        check=True,
    )
    kinds: dict[str, Callable[[str], Any]] = {"RESULT": json.loads, "ERROR": str}
    lines = [line.partition(" ") for line in ended.stdout.splitlines()]
    results = [kinds[kind](rest) for kind, _, rest in lines if kind in kinds]
    return results, Outcome(0, ended.stdout, ended.stderr)


def entries(output: Outcome) -> list[dict[str, Any]]:
    """The log's entries; each line that is no result has to be one."""
    lines = [line for line in output.out.splitlines() if not line.startswith(("RESULT ", "ERROR "))]
    return [json.loads(line) for line in lines]


def lockbox(sandbox: SandboxServer, warehouse: PostgreSQL) -> dict[str, str]:
    """What the function's environment and its secrets give it."""
    return {**access_to(sandbox), **warehouse.environment}


def test_timer_event_loads_into_postgres_and_hourly_payload_reads_a_day(
    serve: Serve, warehouse_in_postgres: PostgreSQL, tmp_path: Path
) -> None:
    account = recent_account(3)
    sandbox = serve(account)
    loaded = {"outcome": "loaded", "message": ""}
    environment = lockbox(sandbox, warehouse_in_postgres)
    results, output = call(tmp_path, environment, timer(), timer({"lookback_days": 1}), http('{"from": "x"}'))
    assert results[:2] == [loaded, loaded], output.out + output.err
    assert differences(warehouse_in_postgres.calls(), expected_calls(account, LONG_AGO)) == []
    assert warehouse_in_postgres.query("SELECT DISTINCT lookback_days FROM load_windows ORDER BY 1") == [(1,), (14,)]
    assert results[2]["statusCode"] == 400
    assert "'from'" in json.loads(results[2]["body"])["message"]
    outcomes = [(entry["level"], entry["outcome"]) for entry in entries(output) if "outcome" in entry]
    assert outcomes == [("INFO", "loaded"), ("INFO", "loaded"), ("ERROR", "rejected")]
    assert (tmp_path / "dlt").is_dir(), "dlt's files are not in the temporary folder"


def test_transient_error_fails_the_event_and_a_lasting_one_does_not(
    serve: Serve, warehouse_in_postgres: PostgreSQL, monkeypatch: pytest.MonkeyPatch
) -> None:
    sandbox = serve(recent_account(1))
    sandbox.switches.errors = {"get.calls_report": "internal_error", "get.tags": "access_token_blocked"}
    for name, value in lockbox(sandbox, warehouse_in_postgres).items():
        monkeypatch.setenv(name, value)
    with pytest.raises(LoadFailedError, match="internal_error"):
        handler(timer(), None)
    response = handler(http({}), None)
    assert (response["statusCode"], json.loads(response["body"])["outcome"]) == (500, "failed")
    tags = {"resources": ["tags"]}
    rejected = handler(timer(tags), None)
    assert rejected["outcome"] == "rejected"
    assert "access_token_blocked" in rejected["message"]
    response = handler(http(tags), None)
    assert (response["statusCode"], json.loads(response["body"])) == (400, rejected)
    sandbox.switches.errors = {}
    assert handler(tags, None) == {"outcome": "loaded", "message": ""}
    assert warehouse_in_postgres.query("SELECT count(*) > 0 FROM tags") == [(True,)]


def test_traceback_of_a_bug_is_logged_without_secrets(
    serve: Serve, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(_: Load) -> None:
        raise ZeroDivisionError(f"divided by {KEY}")

    for name, value in access_to(serve(), DESTINATION_TYPE="dummy").items():
        monkeypatch.setenv(name, value)
    with pytest.raises(LoadFailedError, match=r"^ZeroDivisionError: divided by \*\*\*$") as raised:
        serve_yandex_event(timer(), None, fail)
    assert raised.value.__suppress_context__
    printed = capsys.readouterr().out
    assert KEY not in printed
    (logged,) = [line for line in printed.splitlines() if "Traceback" in line]
    assert "in fail" in json.loads(logged)["message"]


def test_duckdb_is_rejected_as_destination_before_a_request(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    sandbox = serve()
    for name, value in access_to(sandbox, DESTINATION_TYPE="duckdb").items():
        monkeypatch.setenv(name, value)
    result = serve_yandex_event(timer(), None, lambda _: pytest.fail("a load began"))
    assert result["outcome"] == "rejected"
    assert "DESTINATION_TYPE: a function keeps no files" in result["message"]
    assert sandbox.requests == 0


@pytest.mark.parametrize(
    ("event", "text"),
    [
        (timer(), ""),
        (timer(""), ""),
        (timer('{"lookback_days": 1}\n'), '{"lookback_days": 1}'),
        (http({"since": "2026-01-01"}), '{"since": "2026-01-01"}'),
        ({"httpMethod": "GET", "body": ""}, ""),
        ({"httpMethod": "POST", "body": "{}", "isBase64Encoded": False}, "{}"),
        ({"resources": ["calls"]}, '{"resources": ["calls"]}'),
        ("", ""),
        (b'{"since": "2026-01-01"}', '{"since": "2026-01-01"}'),
        (None, ""),
    ],
)
def test_request_is_found_in_any_event(event: Any, text: str) -> None:
    assert request_text(event) == text


@pytest.mark.parametrize(
    "event",
    [
        {"messages": []},
        {"messages": [*timer()["messages"], *timer()["messages"]]},
        {"messages": [{"details": {"message": {"body": "of a queue"}}}]},
        timer()["messages"],
        timer("")["messages"][0] | {"messages": None},
        {"httpMethod": "POST", "body": "/w==", "isBase64Encoded": True},
        {"httpMethod": "POST", "body": "ы", "isBase64Encoded": True},
        b"\xff",
        7,
    ],
)
def test_event_without_a_request_is_rejected(event: Any) -> None:
    with pytest.raises(BadRequestError):
        request_text(event)


def test_load_ends_a_minute_before_the_function() -> None:
    class Context:
        def __init__(self, minutes: float) -> None:
            self.minutes = minutes

        def get_remaining_time_in_millis(self) -> int:
            return int(self.minutes * 60_000)

    assert load_minutes(Context(10)) == 9
    assert load_minutes(Context(60)) == 59
    assert load_minutes(Context(0.5)) > 0
    assert load_minutes(object()) == UNKNOWN_MINUTES
