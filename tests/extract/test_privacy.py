"""No secret is written anywhere; personal data is excluded or pseudonymized before anything is written to a disk."""

import hmac
from base64 import b64encode, urlsafe_b64encode
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from comagic.exceptions import ConfigurationError
from comagic.sandbox import Switches, SyntheticAccount
from comagic.sandbox.switches import KEY, LOGIN, PASSWORD
from comagic.values import parse_pseudonym_key
from tests.support.accounts import (
    LONG_AGO,
    PSEUDONYM_KEY,
    TODAY,
    access_to,
    expected_calls,
    recent_account,
    resource_options,
)
from tests.support.processes import Command, Outcome, Serve
from tests.support.sampling import sample
from tests.support.warehouses import Warehouse


def file_contents(folder: Path) -> dict[Path, bytes]:
    """All files below a folder with their contents."""
    return {file: file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def find_texts(folder: Path, result: Outcome, *texts: str) -> list[str]:
    """The files below a folder, and the outputs of a command, that contain any of the texts."""
    places = {str(path.relative_to(folder)): content for path, content in file_contents(folder).items()}
    places |= {"out": result.out.encode(), "err": result.err.encode()}
    return [f"{text} in {place}" for place, content in places.items() for text in texts if text.encode() in content]


@pytest.mark.expensive(5)
@pytest.mark.parametrize("errors", sample([{}, {"get.calls_report": "forbidden"}], 1))
def test_login_and_pseudonym_key_are_written_nowhere(
    run: Command, serve: Serve, place: Path, errors: dict[str, str]
) -> None:
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
    result = run(**environment)
    assert result.code == (1 if errors else 0), result.err
    assert "Data API call" in result.err, "the debug log is on"
    assert sandbox.protocol.tokens
    # The sandbox's password is a word that occurs elsewhere, too: search for it in quotes.
    quoted = [f"{mark}{PASSWORD}{mark}" for mark in ("'", '"')]
    assert find_texts(place, result, *sandbox.protocol.tokens, PSEUDONYM_KEY, *quoted) == []


@pytest.mark.expensive(5)
@pytest.mark.parametrize("errors", sample([{"get.calls_report": "access_token_blocked"}, {}], 1))
def test_api_key_is_written_nowhere(run: Command, serve: Serve, place: Path, errors: dict[str, str]) -> None:
    sandbox = serve(recent_account(1), Switches(errors=errors))
    result = run(**access_to(sandbox), RUNTIME__LOG_LEVEL="DEBUG")
    assert result.code == (1 if errors else 0)
    assert find_texts(place, result, KEY) == []
    assert any("trace" in path.name for path in file_contents(place)), "dlt's trace is among the files"


def test_excluded_fields_are_in_no_table_and_no_file(serve: Serve, command: Command, place: Path) -> None:
    account = recent_account()
    excluded = "contact_full_name, contact_phone_number, employees.employee_full_name, attributes"
    result = command(**access_to(serve(account)), SOURCES__COMAGIC__EXCLUDE_FIELDS=excluded)
    assert result.code == 0, result.err
    warehouse = Warehouse(place)
    columns = warehouse.query("SELECT table_name, column_name FROM information_schema.columns")
    named = {column for table, column in columns if not table.startswith("_dlt")}
    assert not named & {"contact_full_name", "contact_phone_number", "employee_full_name"}
    assert "employee_id" in named
    assert not [table for table, _ in columns if table.endswith("attributes")]
    numbers = {call["contact_phone_number"] for call in expected_calls(account, LONG_AGO).values()} - {None}
    assert numbers
    assert find_texts(place, result, *numbers) == []


def test_excluded_field_that_the_api_sends_unrequested_is_dropped(serve: Serve, command: Command, place: Path) -> None:
    account = recent_account(2)

    def add_number(response: dict[str, Any]) -> dict[str, Any]:
        for row in response["result"]["data"]:
            row["contact_phone_number"] = "79990000001"
        return response

    sandbox = serve(account, alter_answer=add_number)
    result = command(**access_to(sandbox), SOURCES__COMAGIC__EXCLUDE_FIELDS="contact_phone_number")
    assert result.code == 0, result.err
    assert find_texts(place, result, "79990000001") == []


def test_same_value_has_the_same_pseudonym_in_every_field_and_table(
    serve: Serve, command: Command, place: Path
) -> None:
    account = recent_account()
    fields = "contact_phone_number, employees.employee_full_name, last_answered_employee_full_name, attributes"
    settings = {"SOURCES__COMAGIC__PSEUDONYMIZE_FIELDS": fields, "SOURCES__COMAGIC__PSEUDONYM_KEY": PSEUDONYM_KEY}
    result = command(**access_to(serve(account)), **settings)
    assert result.code == 0, result.err

    def pseudonym(value: str) -> str:
        return hmac.new(PSEUDONYM_KEY.encode(), value.encode(), "sha256").hexdigest()[:32]

    loaded, expected = Warehouse(place).calls(), expected_calls(account, LONG_AGO)
    assert loaded.keys() == expected.keys()
    for key, call in expected.items():
        number = call["contact_phone_number"]
        assert loaded[key]["contact_phone_number"] == (pseudonym(number) if number else None)
        names = [pseudonym(employee["employee_full_name"]) for employee in call["employees"]]
        assert [employee["employee_full_name"] for employee in loaded[key]["employees"]] == names
        assert loaded[key].get("attributes", []) == [pseudonym(attribute) for attribute in call["attributes"]]
        assert loaded[key]["campaign_name"] == call["campaign_name"]
    joined = Warehouse(place).query(
        "SELECT count(*) FROM calls JOIN calls__employees AS e ON e._dlt_root_id = calls._dlt_id "
        "AND e.employee_full_name = last_answered_employee_full_name"
    )
    assert joined > [(0,)], "joins by a pseudonym still work"
    values = {call["contact_phone_number"] for call in expected.values()} | {
        employee["employee_full_name"] for call in expected.values() for employee in call["employees"]
    }
    assert find_texts(place, result, *(value for value in values if value)) == []


def test_number_in_a_text_field_is_pseudonymized_too(serve: Serve, command: Command, place: Path) -> None:
    account = SyntheticAccount(first_day=TODAY - timedelta(days=3), last_day=TODAY - timedelta(days=1))
    key = next(iter(expected_calls(account, LONG_AGO)))
    account.change(key, contact_phone_number=79990000001)
    settings = {
        "SOURCES__COMAGIC__PSEUDONYMIZE_FIELDS": "contact_phone_number",
        "SOURCES__COMAGIC__PSEUDONYM_KEY": PSEUDONYM_KEY,
    }
    result = command(**access_to(serve(account)), **settings)
    assert result.code == 0, result.err
    assert find_texts(place, result, "79990000001") == []


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"EXCLUDE_FIELDS": "contact_phone"}, "exclude_fields: calls has no field 'contact_phone'"),
        ({"EXCLUDE_FIELDS": "tags.tag"}, "exclude_fields: calls has no field 'tags.tag'"),
        ({"EXCLUDE_FIELDS": "id"}, "exclude_fields: id is needed to identify rows"),
        ({"EXCLUDE_FIELDS": "start_time"}, "exclude_fields: start_time is needed to identify rows"),
        ({"PSEUDONYMIZE_FIELDS": "contact_phone_number"}, "pseudonym_key: pseudonymize_fields needs a secret key"),
        (
            {"PSEUDONYMIZE_FIELDS": "contact_phone_number", "PSEUDONYM_KEY": "short"},
            "pseudonym_key: a key needs 128 random bits at least",
        ),
        ({"PSEUDONYM_KEY": "correct horse battery staple"}, "pseudonym_key: a key needs 128 random bits at least"),
        (
            {"PSEUDONYMIZE_FIELDS": "campaign_id", "PSEUDONYM_KEY": PSEUDONYM_KEY},
            "pseudonymize_fields: campaign_id has the type bigint, and only text can be pseudonymized",
        ),
        (
            {"PSEUDONYMIZE_FIELDS": "tags", "PSEUDONYM_KEY": PSEUDONYM_KEY},
            "pseudonymize_fields: tags has the type list, and only text can be pseudonymized",
        ),
    ],
)
def test_wrong_privacy_setting_is_rejected_before_any_call_is_requested(
    serve: Serve, command: Command, settings: dict[str, str], message: str
) -> None:
    sandbox = serve()
    result = command(**access_to(sandbox), **{f"SOURCES__COMAGIC__{name}": value for name, value in settings.items()})
    assert (result.code, f"sources.comagic.{message}" in result.err) == (2, True), result.err
    assert "short" not in result.err
    assert sandbox.calls.get("get.calls_report", 0) == 0


def test_personal_data_is_excluded_from_every_report_that_has_it(
    serve: Serve, command: Command, warehouse: Warehouse
) -> None:
    result = command(
        *resource_options("calls", "call_legs", "chats"),
        **access_to(serve(recent_account(1))),
        SOURCES__COMAGIC__EXCLUDE_FIELDS='["contact_phone_number", "call_legs/employee_full_name"]',
    )
    assert result.code == 0, result.err
    for name in ("calls", "call_legs"):
        assert "contact_phone_number" not in warehouse.columns(name), name
    assert "employee_full_name" not in warehouse.columns("call_legs")
    assert "last_answered_employee_full_name" in warehouse.columns("calls")


def test_unknown_resource_in_exclude_fields_is_rejected(serve: Serve, command: Command) -> None:
    result = command(**access_to(serve(recent_account(1))), SOURCES__COMAGIC__EXCLUDE_FIELDS='["leg/id"]')
    message = "sources.comagic.exclude_fields: leg/id: there is no resource 'leg'"
    assert (result.code, message in result.err) == (2, True), result.err


@pytest.mark.parametrize(
    "key",
    [
        *(" " * 16, "a" * 32, "0" * 64, "0123456789abcdef", "secret phrase of mine", "QUJDREVGR0g="),
        *("my-secret-company-key-2024", "abcdefghijklmnopqrstuvwxyz", "correct-horse-battery-staple"),
        *("0123456789abcdef" * 2, "00112233445566778899aabbccddeeff", "passwordpasswordpassword", "7495" * 8),
        *("ABCDEFGHIJKLMNOPQRSTUVWXYZabc123", "000102030405060708090a0b0c0d0e0f", "Comagic2024Comagic2024"),
    ],
)
def test_key_that_can_be_guessed_is_an_error_that_does_not_show_it(key: str) -> None:
    with pytest.raises(ConfigurationError, match="128 random bits") as raised:
        parse_pseudonym_key("sources.comagic.pseudonym_key", key)
    assert key not in str(raised.value)


def test_made_key_is_accepted_and_used_as_it_is_written(command: Command) -> None:
    made = command("make-key").out.strip()
    assert len(made) == 64
    assert parse_pseudonym_key("pseudonym_key", made) == made != command("make-key").out.strip()
    key = "9e107d9d372bb6826bd81d3542a419d6e5b4fa2f60c4d1b7a8093e5c71f2d846"
    for text in (
        key,
        key.upper(),
        b64encode(bytes.fromhex(key)).decode(),
        urlsafe_b64encode(bytes.fromhex(key)).decode(),
    ):
        assert parse_pseudonym_key("pseudonym_key", text) == text
