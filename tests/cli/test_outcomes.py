"""Exit code, summary, notification and `status` agree in every case, as the table in docs/operations.md has it."""

import json
import re
from contextlib import nullcontext
from pathlib import Path

import pytest

from comagic.load.lease import hold_file, patience
from comagic.sandbox import Switches
from tests.support.accounts import access_to, recent_account, resource_options
from tests.support.hook import Hook
from tests.support.pages import read_page
from tests.support.processes import Command, Serve

BEGINNING = "| what happened | exit code | summary | notification | `status --max-age-hours` |\n"
CALLS = "get.calls_report"
CASES: dict[str, tuple[Switches, tuple[str, ...], str]] = {
    "Everything is loaded": (Switches(), ("calls",), "calls"),
    "Values do not fit": (Switches(values={CALLS: {"total_duration": "long"}}), ("calls",), "calls"),
    "An optional resource": (Switches(errors={"get.statuses": "forbidden"}), ("calls", "statuses"), "statuses"),
    "Rows without a key": (Switches(values={CALLS: {"id": None}}), ("calls",), "calls"),
    "One resource failed": (Switches(errors={"get.tags": "internal_error"}), ("calls", "tags"), "tags"),
    "The load failed": (Switches(errors={"get.account": "access_token_blocked"}), ("calls",), "calls"),
    "Stopped early": (Switches(day_limit=1), ("calls",), "calls"),
    "Another load": (Switches(), ("calls",), "calls"),
}
"""How the sandbox behaves, what is loaded, and which resource `status` is asked about."""
SUMMARIES = {"tables and rows": ["in duckdb:"]}


def documented() -> dict[str, list[str]]:
    """The rows of the table: what happened, and the other columns."""
    lines = read_page("docs/operations.md").split(BEGINNING)[1].split("\n\n")[0].splitlines()[1:]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return {what: columns for what, *columns in rows}


def test_every_row_of_the_table_is_a_case() -> None:
    assert len(documented()) == len(CASES)


@pytest.mark.parametrize("case", CASES)
def test_exit_code_summary_notification_and_status_agree(
    serve: Serve, command: Command, hook: Hook, place: Path, case: str
) -> None:
    ((code, summary, notification, freshness),) = [row for what, row in documented().items() if what.startswith(case)]
    switches, names, judged = CASES[case]
    environment = access_to(serve(recent_account(1), switches), NOTIFICATIONS__WEBHOOK_URL=hook.url)
    environment["SOURCES__COMAGIC__OPTIONAL_RESOURCES"] = "statuses"
    other = hold_file(place / "comagic_pipeline.duckdb.lock", patience(0)) if case == "Another load" else nullcontext()
    with other:
        result = command("load", *resource_options(*names), **environment)
    assert result.code == int(code.split(",")[0]), result.err
    expected = SUMMARIES.get(summary) or re.findall(r"`([^`]+)`", summary)
    assert result.out == "" if summary == "none" else any(text in result.out for text in expected), result.out
    sent = [message["text"] for _, message in hook.messages]
    if notification in ("if `on_success`", "none"):
        assert sent == []
    else:
        (text,) = sent
        assert text.startswith(f"CoMagic load {notification}.")
    status = command("status", "--resource", judged, "--max-age-hours", "1", **environment)
    assert status.code == (0 if freshness.startswith("fresh") else 1), status.out
    assert ("rejected" in status.out) == ("rejected" in freshness)


def test_cloud_run_job_logs_its_outcome_and_dataset_as_the_function_does(serve: Serve, command: Command) -> None:
    sandbox = serve(recent_account(1))
    environment = access_to(sandbox, CLOUD_RUN_JOB="comagic-history")

    def entry(**more: str) -> dict[str, str]:
        result = command("load", "--resource", "tags", **{**environment, **more})
        (line,) = [line for line in result.out.splitlines() if line.startswith("{")]
        logged: dict[str, str] = json.loads(line)
        return logged

    levels = {"severity": "INFO", "level": "INFO"}
    assert entry() == {**levels, "message": "Loaded.", "outcome": "loaded", "dataset": "comagic"}
    rejected = entry(SOURCES__COMAGIC__LOOKBACK_DAYS="0", DATASET_NAME="comagic_dev")
    assert (rejected["severity"], rejected["outcome"], rejected["dataset"]) == ("ERROR", "rejected", "comagic_dev")
    assert "lookback_days" in rejected["message"]
    sandbox.switches.errors = {"get.tags": "internal_error"}
    assert entry()["outcome"] == "failed"
    sandbox.switches.errors = {}
    sandbox.switches.day_limit = 0
    assert entry()["outcome"] == "stopped early"
