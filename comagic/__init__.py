"""Loads call tracking data from CoMagic, UIS, CallGear and Novofon (Data API v2.0).

The layers, each of which imports only those before it: `api` speaks HTTP, `extract` turns the `catalog` into dlt
resources, `load` knows the destination, `cli` prints. `sandbox` is a local server of the API.
"""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

import dlt
from dlt.extract import DltResource

from .api.brands import BASE_URL
from .api.credentials import KeyCredentials, LoginCredentials
from .catalog import resources
from .exceptions import ComagicError, ConfigurationError
from .extract.context import Context, list_clients, open_client, resources_for_client
from .extract.resources import SOURCE_NAME, make_resources
from .settings import resolve_settings

__all__ = ["ComagicError", "ConfigurationError", "KeyCredentials", "LoginCredentials", "comagic_source"]
__version__ = "1.0.0"


@dlt.source(name=SOURCE_NAME, max_table_nesting=1)
def comagic_source(
    credentials: KeyCredentials | LoginCredentials = dlt.secrets.value,
    base_url: str = BASE_URL,
    start_date: Any = None,
    fields: Any = None,
    user_id: int | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
) -> Iterable[DltResource]:
    """The reports and dictionaries of one account, as a dlt source.

    A report is merged by its key into its table and child tables; a dictionary is read whole and replaced. A run loads
    what is new since the last one and reads the lookback again, since tags, sales and ratings change after a call and
    nothing in the API says which did. With `since` it loads that period instead and leaves the cursor alone.

    The arguments override settings of the same name; all other settings come from dlt's configuration, for example
    `dlt.config["sources.comagic.lookback_days"] = 3` (see docs/settings.md).

    Args:
        credentials: a key (`access_token`), or `login` and `password`.
        base_url: the brand's endpoint; see `comagic.api.brands`.
        start_date: start of the first load: `YYYY-MM-DD` or `YYYY-MM-DD HH:MM:SS`, in the account's time zone.
        fields: fields of calls: `all`, or a list of names; the default set is in the catalog.
        user_id: client of an agency; only for agency logins.
        since: local time of the account at which to start, instead of the cursor.
        until: local time before which to end; default: now.

    Returns:
        One dlt resource per report and dictionary, and per client of an agency. `calls` is selected; select others by
        `with_resources`.

    Raises:
        ConfigurationError: a setting is unknown or wrong; the text begins with its name.
    """
    arguments = {"start_date": start_date, "fields": fields, "user_id": user_id}
    given = {name: value for name, value in arguments.items() if value is not None}
    # One run loads the whole period: the loop over load packages is the command line's.
    settings = resolve_settings(**given, load_package_rows=0)
    client = open_client(settings, credentials=credentials, base_url=base_url)
    clients = list_clients(client, settings)
    for client_id in clients:
        context = Context(settings, client, since, until, client_id)
        yield from make_resources(context, resources_for_client(resources().values(), client_id, clients))
