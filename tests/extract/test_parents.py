"""What was said in calls: a request for each, within a budget, the newest first, each once; only if asked for."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from comagic.catalog import resources
from comagic.sandbox import SandboxServer, SyntheticAccount
from comagic.sandbox.phrases import phrases_of
from comagic.values import resolve_resources
from tests.support.accounts import FAR, LONG_AGO, access_to, days_ago, resource_options
from tests.support.processes import Command, Serve
from tests.support.warehouses import Warehouse

METHOD = "getobj.call_session_recognition_info"
NAMES = resource_options("call_phrases")
MIN_SECONDS = 30


def account_of(days: int) -> SyntheticAccount:
    """An account with some calls on each of the last days, but none today."""
    return SyntheticAccount(first_day=days_ago(days).date(), last_day=days_ago(1).date(), calls_per_day=10)


def wanted(account: SyntheticAccount) -> list[dict[str, Any]]:
    """The calls to ask about, the newest first, by an independent rule."""
    calls = [call for call in account.calls(LONG_AGO, FAR, FAR) if call["talk_duration"] >= MIN_SECONDS]
    return sorted((call for call in calls if call["call_records"]), key=lambda call: call["start_time"], reverse=True)


def phrases(calls: list[dict[str, Any]]) -> set[tuple[int, int, str]]:
    """The phrases of calls."""
    return {(call["id"], one["id"], one["phrase"]) for call in calls for one in phrases_of(call)}


def loaded(place: Path) -> list[tuple[Any, ...]]:
    """The phrases in the table."""
    return Warehouse(place).query("SELECT call_session_id, id, phrase FROM call_phrases")


def environment_of(sandbox: SandboxServer, **settings: str) -> dict[str, str]:
    """Settings for a load."""
    return access_to(sandbox, **{f"SOURCES__COMAGIC__{name.upper()}": value for name, value in settings.items()})


def test_newest_calls_are_asked_about_within_the_budget_and_each_once(
    serve: Serve, command: Command, place: Path
) -> None:
    account = account_of(6)
    calls = wanted(account)
    sandbox = serve(account)
    environment = environment_of(sandbox, transcript_requests="20")
    outcome = command("load", *NAMES, **environment)
    assert outcome.code == 0, outcome.err
    assert "asked about 20 calls, the newest first; others are left to the next runs" in outcome.err + outcome.out
    assert sandbox.calls[METHOD] == 20 < len(calls) < 60
    assert set(loaded(place)) == phrases(calls[:20])
    for _ in range(2):
        assert command("load", *NAMES, **environment).code == 0
    assert sandbox.calls[METHOD] == len(calls)
    rows = loaded(place)
    assert set(rows) == phrases(calls)
    assert len(rows) == len(set(rows))
    assert command("load", *NAMES, **environment).code == 0
    assert sandbox.calls[METHOD] == len(calls), "nothing is asked twice"
    days = Warehouse(place).query(
        "SELECT DISTINCT CAST(call_start_time AT TIME ZONE 'Europe/Moscow' AS DATE) = partition_date FROM call_phrases"
    )
    assert days == [(True,)]


def test_a_call_without_text_is_asked_about_again_after_some_days_and_an_error_of_one_call_is_none(
    serve: Serve, command: Command, place: Path
) -> None:
    account = account_of(2)
    calls = wanted(account)
    late = next(call for call in calls if phrases_of(call))
    gone = next(call for call in calls if phrases_of(call) and call is not late)
    account.unrecognized.add(late["id"])
    sandbox = serve(account)
    find = account.find
    account.find = lambda call_id: None if call_id == gone["id"] else find(call_id)  # type: ignore[method-assign]
    outcome = command("load", *NAMES, **environment_of(sandbox))
    assert outcome.code == 0, outcome.err
    assert f"the API rejected 1 of {len(calls)} requests" in outcome.err + outcome.out
    assert set(loaded(place)) == phrases([call for call in calls if call not in (late, gone)])
    account.unrecognized.clear()
    before = sandbox.calls[METHOD]
    assert command("load", *NAMES, **environment_of(sandbox)).code == 0
    assert sandbox.calls[METHOD] == before, "the days have not passed"
    assert command("load", *NAMES, **environment_of(sandbox, transcript_retry_days="0")).code == 0
    empty = [call for call in calls if not phrases_of(call) or call in (late, gone)]
    assert sandbox.calls[METHOD] == before + len(empty)
    assert set(loaded(place)) == phrases([call for call in calls if call is not gone])


@pytest.mark.expensive
def test_errors_of_every_request_stop_it_and_a_missing_component_is_no_error(serve: Serve, command: Command) -> None:
    sandbox = serve(account_of(3))
    sandbox.switches.errors = {METHOD: "invalid_parameter_value"}
    outcome = command("load", *NAMES, **environment_of(sandbox))
    assert outcome.code == 1
    assert sandbox.calls[METHOD] == 5
    sandbox.switches.errors = {METHOD: "method_component_disabled"}
    outcome = command("load", *NAMES, **environment_of(sandbox))
    assert outcome.code == 0, outcome.err
    assert "call_phrases" in outcome.err + outcome.out
    assert sandbox.calls[METHOD] == 6


@pytest.mark.expensive
def test_texts_of_a_quota_that_ends_are_kept(serve: Serve, command: Command, place: Path) -> None:
    account = account_of(4)
    sandbox = serve(account)
    sandbox.switches.day_limit = 10
    outcome = command("load", *NAMES, **environment_of(sandbox))
    assert outcome.code == 0, outcome.err
    assert sandbox.calls[METHOD] == 1, "a twentieth of the day's quota, or one"
    since = str((days_ago(2) + timedelta(hours=1)).date())
    sandbox.switches.day_limit = 1000
    assert command("load", *NAMES, "--since", since, **environment_of(sandbox)).code == 0
    recent = [call for call in wanted(account) if call["start_time"] >= since]
    assert set(loaded(place)) == phrases(recent)
    assert sandbox.calls[METHOD] == len(recent)


def test_it_is_loaded_only_if_it_is_named() -> None:
    for group in ("reports", "all"):
        assert "call_phrases" not in resolve_resources("--resource", [group])
    assert resolve_resources("--resource", ["all", "call_phrases"])[-1] == "call_phrases"
    assert [name for name, one in resources().items() if one.is_opt_in] == ["call_phrases"]


def test_goals_and_their_groups_come_from_one_object(serve: Serve, command: Command, place: Path) -> None:
    sandbox = serve(account_of(2))
    outcome = command("load", *resource_options("goal_names", "goal_groups"), **access_to(sandbox))
    assert outcome.code == 0, outcome.err
    joined = Warehouse(place).query(
        "SELECT goals.name, groups.name FROM goal_names AS goals JOIN goal_groups AS groups ON groups.id = group_id"
    )
    assert sorted(joined) == [("Заявка на показ", "Пользовательская"), ("Три минуты", "Время на странице")]
    assert sandbox.calls == {"get.account": 1, "getobj.goals_tree": 2}
    names = "goal_names,call_phrases"
    checked = command("check", **access_to(sandbox, SOURCES__COMAGIC__RESOURCES=names))
    assert checked.code == 0, checked.err
    assert "goal_names: 2 entries" in checked.out
    assert "call_phrases: " in checked.out
    sandbox.switches.errors = {METHOD: "invalid_parameter_value"}
    checked = command("check", **access_to(sandbox, SOURCES__COMAGIC__RESOURCES=names))
    assert "the API rejects the request" in checked.out


def test_object_without_its_list_is_reported(serve: Serve, command: Command) -> None:
    def without_goals(response: dict[str, Any]) -> dict[str, Any]:
        data = response["result"]["data"]
        return {**response, "result": {**response["result"], "data": {}}} if "goals" in data else response

    sandbox = serve(account_of(2), alter_answer=without_goals)
    outcome = command("load", *resource_options("goal_names"), **access_to(sandbox))
    assert outcome.code == 0, outcome.err
    assert "goal_names: the API sent no entries, and did not say that there are none" in outcome.out
