"""The check shows what the credentials allow, and for each problem how to fix it."""

from typing import Any

import pytest

from comagic.sandbox import Switches
from comagic.sandbox.switches import KEY
from tests.support.accounts import access_to, recent_account
from tests.support.processes import Command, Serve


def test_check_shows_account_time_zone_rows_and_quota(command: Command, serve: Serve) -> None:
    result = command("check", **access_to(serve(recent_account())))
    assert result.code == 0, result.err
    for text in ("Новые кварталы", "time zone Europe/Moscow", "calls: ", "rows in the last 24 hours", "this minute"):
        assert text in result.out


def test_check_shows_texts_of_the_api_in_one_line_and_numbers_only_as_limits(command: Command, serve: Serve) -> None:
    def alter(response: dict[str, Any]) -> dict[str, Any]:
        for row in response["result"]["data"]:
            row |= {"name": f"\x1b[31mname\nok  forged {KEY} [/x]" + "y" * 3000, "app_id": f"7\n{KEY}"}
        limits = {"day_remaining": f"\x1b[2J[/x]{KEY}", "day_limit": "1", "minute_limit": 10**4000}
        response["result"]["metadata"]["limits"] = limits
        return response

    result = command("check", **access_to(serve(recent_account(1), alter_answer=alter)))
    assert result.code == 0, result.err
    account, *_ = result.out.splitlines()
    assert "\\x1b[31mname\\nok  forged *** [/x]" in account
    assert len(account) < 1000
    assert not {"\x1b", KEY, "API calls left"} & {
        part for part in ("\x1b", KEY, "API calls left") if part in result.out
    }


@pytest.mark.parametrize(
    ("errors", "advice"),
    [
        ({"get.account": "ip_not_whitelisted"}, "Add the address 127.0.0.1"),
        ({"get.account": "access_token_invalid"}, "sources.comagic.base_url is your brand's"),
        ({"get.account": "auth_error"}, "sources.comagic.credentials.access_token"),
        ({"get.calls_report": "forbidden"}, "Give the user of this key the permission to call get.calls_report"),
        ({"get.calls_report": "method_component_disabled"}, "The account lacks the component dt"),
    ],
)
def test_check_fails_and_says_how_to_fix_the_problem(
    command: Command, serve: Serve, errors: dict[str, str], advice: str
) -> None:
    result = command("check", **access_to(serve(recent_account(1), Switches(errors=errors))))
    assert (result.code, advice in result.out) == (1, True), result.out + result.err
    assert "Traceback" not in result.err
