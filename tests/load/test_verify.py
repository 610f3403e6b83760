"""`verify` finds what the destination lacks, or has otherwise, and nothing where it has everything."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from comagic.catalog import reports
from comagic.load.verified_report import why_not
from comagic.sandbox import SandboxServer
from tests.support.accounts import PSEUDONYM_KEY, access_to, days_ago, recent_account, resource_options
from tests.support.processes import Command, Serve
from tests.support.warehouses import BigQuery, PostgreSQL, Warehouse

VERIFIABLE = [name for name, report in reports().items() if not why_not(report)]
WAREHOUSES = [
    "warehouse",
    pytest.param("warehouse_in_postgres", marks=pytest.mark.expensive(8)),
    pytest.param("warehouse_in_bigquery", marks=pytest.mark.expensive(15)),
]


@pytest.fixture(params=WAREHOUSES)
def target(request: pytest.FixtureRequest) -> Iterator[Warehouse]:
    """An empty destination of each kind."""
    yield request.getfixturevalue(request.param)


def verified(command: Command, environment: dict[str, str], *words: str, code: int) -> dict[str, Any]:
    """Runs `verify`, and returns its JSON document; checks the exit code."""
    result = command("verify", "--json", *words, **environment)
    assert result.code == code, result.out + result.err
    document: dict[str, Any] = json.loads(result.out)
    assert document["agrees"] is (code == 0)
    return document


def days(document: dict[str, Any]) -> dict[str, list[dict[str, Any]]]:
    """The differing days of each report that has some."""
    return {one["resource"]: one["days"] for one in document["resources"] if one["days"]}


def test_untouched_destination_agrees_in_all_values_of_all_reports(
    serve: Serve, command: Command, target: Warehouse
) -> None:
    account = recent_account(10)
    account.upload(days_ago(20), days_ago(3))
    settings = {
        "SOURCES__COMAGIC__FIELDS": "all",
        "SOURCES__COMAGIC__EXCLUDE_FIELDS": '["tags.tag_user_login", "contact_full_name"]',
        "SOURCES__COMAGIC__PSEUDONYMIZE_FIELDS": '["contact_phone_number", "employees.employee_full_name"]',
        "SOURCES__COMAGIC__PSEUDONYM_KEY": PSEUDONYM_KEY,
    }
    environment = access_to(serve(account), **settings, **target.environment)
    result = command(*resource_options(*VERIFIABLE), **environment)
    assert result.code == 0, result.err
    for words in ((), ("--deep",)):
        document = verified(command, environment, *words, code=0)
        assert [one["resource"] for one in document["resources"]] == VERIFIABLE
        assert all(one["api"] == one["destination"] > 0 for one in document["resources"]), document
