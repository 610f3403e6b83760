"""Secrets are nowhere; personal data is left out or replaced before anything is written to a disk."""

import hmac
from datetime import timedelta
from pathlib import Path

import pytest

from comagic.sandbox import Switches, SyntheticAccount
from comagic.sandbox.switches import KEY, LOGIN, PASSWORD
from tests.support.accounts import LONG_AGO, TODAY, access_to, expected_calls, recent_account
from tests.support.processes import Command, Outcome, Serve
from tests.support.warehouses import Warehouse

PSEUDONYM_KEY = "a key that is long enough"


def bytes_below(folder: Path) -> dict[Path, bytes]:
    return {file: file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def found_in(folder: Path, shown: Outcome, *texts: str) -> list[str]:
    """Where any of the texts is: files, output."""
    places = {str(path.relative_to(folder)): content for path, content in bytes_below(folder).items()}
    places |= {"out": shown.out.encode(), "err": shown.err.encode()}
    return [f"{text} in {place}" for place, content in places.items() for text in texts if text.encode() in content]


@pytest.mark.parametrize("errors", [{}, {"get.calls_report": "forbidden"}])
def test_no_secret_is_written_anywhere(run: Command, serve: Serve, place: Path, errors: dict[str, str]) -> None:
    sandbox = serve(recent_account(1), Switches(errors=errors, faults={2: "html", 3: "503"}))
    environment = access_to(sandbox)
    del environment["SOURCES__COMAGIC__CREDENTIALS__ACCESS_TOKEN"]
    environment |= {
        "SOURCES__COMAGIC__CREDENTIALS__LOGIN": LOGIN,
        "SOURCES__COMAGIC__CREDENTIALS__PASSWORD": PASSWORD,
        "SOURCES__COMAGIC__PSEUDONYMIZE_FIELDS": "contact_phone_number",
        "SOURCES__COMAGIC__PSEUDONYM_KEY": PSEUDONYM_KEY,
        "RUNTIME__LOG_LEVEL": "DEBUG",
    }
    shown = run(**environment)
    assert shown.code == (1 if errors else 0), shown.err
    assert "Data API call" in shown.err, "the log was on"
    assert sandbox.protocol.tokens
    # The sandbox's password is a word that stands elsewhere too, so it is looked for as it would be quoted.
    quoted = [f"{mark}{PASSWORD}{mark}" for mark in ("'", '"')]
    assert found_in(place, shown, *sandbox.protocol.tokens, PSEUDONYM_KEY, *quoted) == []


@pytest.mark.parametrize("errors", [{}, {"get.calls_report": "access_token_blocked"}])
def test_no_key_is_written_anywhere(run: Command, serve: Serve, place: Path, errors: dict[str, str]) -> None:
    sandbox = serve(recent_account(1), Switches(errors=errors))
    shown = run(**access_to(sandbox), RUNTIME__LOG_LEVEL="DEBUG")
    assert shown.code == (1 if errors else 0)
    assert found_in(place, shown, KEY) == []
    assert any("trace" in path.name for path in bytes_below(place)), "dlt's trace was looked into"


def test_excluded_fields_never_come(serve: Serve, command: Command, place: Path) -> None:
    account = recent_account()
    excluded = "contact_full_name, contact_phone_number, employees.employee_full_name, attributes"
    shown = command(**access_to(serve(account)), SOURCES__COMAGIC__EXCLUDE_FIELDS=excluded)
    assert shown.code == 0, shown.err
    warehouse = Warehouse(place)
    columns = warehouse.query("SELECT table_name, column_name FROM information_schema.columns")
    named = {column for table, column in columns if not table.startswith("_dlt")}
    assert not named & {"contact_full_name", "contact_phone_number", "employee_full_name"}
    assert "employee_id" in named
    assert not [table for table, _ in columns if table.endswith("attributes")]
    names = {call["contact_phone_number"] for call in expected_calls(account, LONG_AGO).values()}
    found = found_in(place, shown, *(name for name in names if name))
    assert found == []


def test_an_excluded_field_that_comes_unasked_is_dropped(serve: Serve, command: Command, place: Path) -> None:
    account = recent_account(2)

    def with_number(answer: dict[str, object]) -> dict[str, object]:
        result = answer.get("result")
        for row in result["data"] if isinstance(result, dict) else []:
            row["contact_phone_number"] = "79990000001"
        return answer

    sandbox = serve(account, alter_answer=with_number)
    shown = command(**access_to(sandbox), SOURCES__COMAGIC__EXCLUDE_FIELDS="contact_phone_number")
    assert shown.code == 0, shown.err
    assert found_in(place, shown, "79990000001") == []


def test_pseudonyms_are_the_same_for_the_same_value_everywhere(serve: Serve, command: Command, place: Path) -> None:
    account = recent_account()
    fields = "contact_phone_number, employees.employee_full_name, last_answered_employee_full_name, attributes"
    settings = {"SOURCES__COMAGIC__PSEUDONYMIZE_FIELDS": fields, "SOURCES__COMAGIC__PSEUDONYM_KEY": PSEUDONYM_KEY}
    shown = command(**access_to(serve(account)), **settings)
    assert shown.code == 0, shown.err

    def pseudonym(value: str) -> str:
        return hmac.new(PSEUDONYM_KEY.encode(), value.encode(), "sha256").hexdigest()[:32]

    loaded, truth = Warehouse(place).calls(), expected_calls(account, LONG_AGO)
    assert loaded.keys() == truth.keys()
    for key, call in truth.items():
        number = call["contact_phone_number"]
        assert loaded[key]["contact_phone_number"] == (pseudonym(number) if number else None)
        names = [pseudonym(of["employee_full_name"]) for of in call["employees"]]
        assert [of["employee_full_name"] for of in loaded[key]["employees"]] == names
        assert loaded[key].get("attributes", []) == [pseudonym(of) for of in call["attributes"]]
        assert loaded[key]["campaign_name"] == call["campaign_name"]
    joined = Warehouse(place).query(
        "SELECT count(*) FROM calls JOIN calls__employees AS e ON e._dlt_root_id = calls._dlt_id "
        "AND e.employee_full_name = last_answered_employee_full_name"
    )
    assert joined > [(0,)], "joins by a pseudonym go on working"
    values = {of["contact_phone_number"] for of in truth.values()} | {
        item["employee_full_name"] for of in truth.values() for item in of["employees"]
    }
    assert found_in(place, shown, *(value for value in values if value)) == []


def test_a_number_where_a_text_belongs_becomes_a_pseudonym_too(serve: Serve, command: Command, place: Path) -> None:
    account = SyntheticAccount(first_day=TODAY - timedelta(days=3), last_day=TODAY - timedelta(days=1))
    key = next(iter(expected_calls(account, LONG_AGO)))
    account.change(key, contact_phone_number=79990000001)
    settings = {
        "SOURCES__COMAGIC__PSEUDONYMIZE_FIELDS": "contact_phone_number",
        "SOURCES__COMAGIC__PSEUDONYM_KEY": PSEUDONYM_KEY,
    }
    shown = command(**access_to(serve(account)), **settings)
    assert shown.code == 0, shown.err
    assert found_in(place, shown, "79990000001") == []


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"EXCLUDE_FIELDS": "contact_phone"}, "exclude_fields: calls has no field 'contact_phone'"),
        ({"EXCLUDE_FIELDS": "tags.tag"}, "exclude_fields: calls has no field 'tags.tag'"),
        ({"EXCLUDE_FIELDS": "id"}, "exclude_fields: id is needed"),
        ({"EXCLUDE_FIELDS": "start_time"}, "exclude_fields: start_time is needed"),
        ({"PSEUDONYMIZE_FIELDS": "contact_phone_number"}, "pseudonym_key"),
        ({"PSEUDONYMIZE_FIELDS": "contact_phone_number", "PSEUDONYM_KEY": "short"}, "pseudonym_key"),
        ({"PSEUDONYMIZE_FIELDS": "campaign_id", "PSEUDONYM_KEY": PSEUDONYM_KEY}, "campaign_id is a bigint"),
        ({"PSEUDONYMIZE_FIELDS": "tags", "PSEUDONYM_KEY": PSEUDONYM_KEY}, "tags is a list"),
    ],
)
def test_a_wrong_name_is_refused_before_anything_is_loaded(
    serve: Serve, command: Command, settings: dict[str, str], told: str
) -> None:
    sandbox = serve()
    shown = command(**access_to(sandbox), **{f"SOURCES__COMAGIC__{name}": value for name, value in settings.items()})
    assert (shown.code, told in shown.err) == (2, True), shown.err
    assert "short" not in shown.err
    assert sandbox.calls.get("get.calls_report", 0) == 0
