"""The way from a site visit to money: visits, calls, deals and revenue by campaign, as the account has them."""

from collections import defaultdict
from datetime import timedelta
from pathlib import Path

import pendulum

from comagic.sandbox.own_reports import deal_of
from tests.support.accounts import FAR, LONG_AGO, access_to, recent_account, resource_options
from tests.support.processes import Command, Serve
from tests.support.warehouses import Warehouse

FUNNEL = """
SELECT calls.campaign_name, count(DISTINCT visitor_sessions.id), count(DISTINCT calls.id), count(DISTINCT deals.ext_id),
       coalesce(sum(deals.revenue), 0)
FROM calls
LEFT JOIN visitor_sessions ON visitor_sessions.id = calls.visitor_session_id
LEFT JOIN (
    SELECT deals_history.ext_id, communication_id, sum(revenue) FILTER (stages.stage_status = 'success') AS revenue
    FROM deals_history
    JOIN sales_funnels ON sales_funnels.ext_id = deals_history.sales_funnel_ext_id
    JOIN sales_funnels__stages AS stages
        ON stages._dlt_parent_id = sales_funnels._dlt_id AND stages.stage_ext_id = deals_history.stage_ext_id
    WHERE communication_type = 'call'
    GROUP BY ALL
) AS deals ON deals.communication_id = calls.id
GROUP BY ALL ORDER BY ALL
"""


def test_visits_calls_deals_and_revenue_by_campaign_are_the_accounts(
    serve: Serve, command: Command, place: Path
) -> None:
    account = recent_account(20)
    names = resource_options("calls", "visitor_sessions", "deals_history", "sales_funnels")
    assert command("load", *names, **access_to(serve(account))).code == 0
    now = pendulum.now(account.timezone).naive()
    totals: dict[str, list[float]] = defaultdict(lambda: [0, 0, 0, 0.0])
    visits: dict[str, set[int]] = defaultdict(set)
    for call in account.calls(LONG_AGO, FAR, FAR):
        row, deal = totals[call["campaign_name"]], deal_of(call)
        row[1] += 1
        if call["visitor_session_id"]:
            visits[call["campaign_name"]].add(call["visitor_session_id"])
        if deal:
            row[2] += 1
            closed = pendulum.parse(call["start_time"]).naive() + timedelta(days=5, minutes=10)  # type: ignore[union-attr]
            row[3] += deal["revenue"] if deal["is_won"] and closed <= now else 0
    expected = sorted((name, len(visits[name]), *row[1:]) for name, row in totals.items())
    found = Warehouse(place).query(FUNNEL)
    assert found == expected
    assert sum(row[4] for row in found) > 0


def test_stage_that_is_reached_later_is_one_more_row(serve: Serve, command: Command, place: Path) -> None:
    sandbox = serve(recent_account(20))
    environment = access_to(sandbox)
    assert command("load", "--resource", "deals_history", **environment).code == 0
    rows = Warehouse(place).query("SELECT count(*), count(DISTINCT row_id) FROM deals_history")
    assert rows[0][0] == rows[0][1] > 50
    assert command("load", "--resource", "deals_history", **environment).code == 0
    assert Warehouse(place).query("SELECT count(*), count(DISTINCT row_id) FROM deals_history") == rows
