"""Command line of the sandbox: `python -m comagic.sandbox --help`."""

import gc
import signal
import sys
import threading
from datetime import date, datetime
from typing import Any

import click
import orjson

from .account import SyntheticAccount
from .server import SandboxServer
from .switches import KEY, LOGIN, PASSWORD, Switches

BRANDS = ("comagic", "callgear", "novofon")
"""Manuals, as the catalog names them."""
DATE = click.DateTime(["%Y-%m-%d"])


def _parse_switches(pairs: tuple[str, ...]) -> Switches:
    switches = Switches()
    for pair in pairs:
        name, equals, text = pair.partition("=")
        if not equals:
            raise click.BadParameter(f"{pair!r} is not NAME=VALUE", param_hint="--switch")
        try:
            value: Any = orjson.loads(text)
        except ValueError:
            value = text
        try:
            switches.set(name, value)
        except ValueError as error:
            raise click.BadParameter(f"{pair!r}: {error}", param_hint="--switch") from None
    return switches


@click.command()
@click.option("--port", type=int, default=0, help="TCP port on 127.0.0.1; default: a free one.")
@click.option("--seed", type=int, default=1, show_default=True, help="Another seed makes another account.")
@click.option("--timezone", default="Europe/Moscow", show_default=True, help="Time zone of the account.")
@click.option("--first-day", type=DATE, default="2024-01-01", show_default=True, help="Date of the first calls.")
@click.option("--last-day", type=DATE, help="Date of the last calls; default: today.")
@click.option("--calls-per-day", type=float, default=150, show_default=True, help="Calls on an average working day.")
@click.option("--brand", type=click.Choice(BRANDS), help="Whose manual is followed; default: all that is documented.")
@click.option(
    "--switch",
    "pairs",
    multiple=True,
    metavar="NAME=VALUE",
    help='A setting from comagic/sandbox/switches.py, as JSON: bounds=[), latency=0.2, faults={"3":"reset"}.',
)
def main(
    port: int,
    seed: int,
    timezone: str,
    first_day: datetime,
    last_day: datetime | None,
    calls_per_day: float,
    brand: str | None,
    pairs: tuple[str, ...],
) -> None:
    """Serve a synthetic account over the Data API v2.0 on this machine until interrupted.

    Prints one line of JSON with the base URL and the credentials. To change the account or the settings while it runs,
    send requests to http://127.0.0.1:PORT/sandbox; see SandboxServer.control.
    """
    last: date | None = last_day.date() if last_day else None
    account = SyntheticAccount(
        seed=seed, timezone=timezone, first_day=first_day.date(), last_day=last, calls_per_day=calls_per_day
    )
    gc.set_threshold(100_000)  # a page has up to ten thousand rows, all in memory until it is sent
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    switches = _parse_switches(pairs)
    switches.brand = brand or switches.brand
    with SandboxServer(account, switches, port) as sandbox:
        credentials = {"base_url": sandbox.base_url, "access_token": KEY, "login": LOGIN, "password": PASSWORD}
        sys.stdout.write(orjson.dumps(credentials).decode() + "\n")
        sys.stdout.flush()
        stop.wait()


if __name__ == "__main__":
    main()
