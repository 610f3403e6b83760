"""The table `accounts`: whose data the dataset has, and in which time zone its days and local times are."""

from collections.abc import Iterator
from datetime import tzinfo
from typing import Any

import dlt
from dlt.extract import DltResource
from dlt.extract.items import DataItemWithMeta

from ..api.responses import Account
from ..catalog import Field
from .merge_strategy import merge_by_key
from .schema import ROOT_COLUMNS, columns, describe_columns, table_description

TABLE = "accounts"
WRITTEN_KEY = "accounts_written"
"""Key in the source's state: the rows of the table, by their id."""

DESCRIPTION = "One row per account whose data the dataset has: the account, or each client of an agency."

FIELDS = (
    Field("id", "text", "Key of the row: the client's id, or `account` where rows carry no client."),
    Field("app_id", "bigint", "Account id; null if the API sends none that is a number."),
    Field("user_id", "bigint", "Client of the agency, as the rows of other tables carry it; null where they do not."),
    Field("timezone", "text", "Time zone of the days and local times of the account's rows (IANA name)."),
)


def account_row(account: Account, user_id: int | None, zone: tzinfo) -> Iterator[DataItemWithMeta]:
    """Yields the row of an account, marked for its table, where the table does not have it as it is now.

    What the table has is noted in the source's state, which dlt commits with the row: so a night without a change
    writes nothing, and resources of one load package write it once.

    Args:
        account: the account, as the API has it.
        user_id: the client of the agency, where several are loaded.
        zone: the time zone in which its times are read.
    """
    app_id = str(account.app_id)
    row: dict[str, Any] = {
        "id": "account" if user_id is None else str(user_id),
        "app_id": int(app_id) if app_id.isdecimal() else None,
        "user_id": user_id,
        "timezone": str(zone),
    }
    written = dlt.current.source_state().setdefault(WRITTEN_KEY, {})
    if written.get(row["id"]) != row:
        written[row["id"]] = row
        yield dlt.mark.with_table_name(dict(row), TABLE)


def declare_accounts(resource: DltResource) -> None:
    """Declares the table as another one of a resource that has no hints of its own yet: dlt would copy them."""
    resource.apply_hints(
        table_name=TABLE,
        primary_key="id",
        write_disposition=merge_by_key(skip_unchanged_rows=False),
        columns={**columns(FIELDS, ("id",)), **describe_columns(ROOT_COLUMNS)},
        additional_table_hints=table_description(DESCRIPTION),
        create_table_variant=True,
    )
