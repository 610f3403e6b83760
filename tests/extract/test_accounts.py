"""A dataset has the data of one account; another one's credentials are an error, before anything is loaded."""

from pathlib import Path

import pytest

from comagic.sandbox import Switches
from tests.support.accounts import LONG_AGO, access_to, differences, expected_calls, recent_account
from tests.support.processes import Command, Serve
from tests.support.warehouses import Warehouse


@pytest.mark.expensive
def test_another_account_into_the_same_dataset_is_an_error(serve: Serve, command: Command, place: Path) -> None:
    account, other = recent_account(3), recent_account(3, seed=9)
    assert command(**access_to(serve(account))).code == 0
    for resource in ("calls", "tags"):
        outcome = command("load", "--resource", resource, **access_to(serve(other)))
        assert outcome.code == 2
        assert "they are of account 4200009" in outcome.err
        assert f"the dataset has the data of account {account.app_id}" in outcome.err
    assert differences(Warehouse(place).calls(), expected_calls(account, LONG_AGO)) == []
    assert command(**access_to(serve(other), DATASET_NAME="other")).code == 0
    assert command(**access_to(serve(account))).code == 0


def test_another_client_of_an_agency_into_the_same_dataset_is_an_error(serve: Serve, command: Command) -> None:
    sandbox = serve(recent_account(1), Switches(agency=True))
    assert command(**access_to(sandbox), SOURCES__COMAGIC__USER_ID="10010").code == 0
    outcome = command(**access_to(sandbox), SOURCES__COMAGIC__USER_ID="10020")
    assert outcome.code == 2
    assert "client 10020" in outcome.err
    assert "client 10010" in outcome.err
