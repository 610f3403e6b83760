"""Starts the sandbox: `python -m comagic.sandbox --help`."""

import gc
import signal
import sys
import threading
from dataclasses import fields
from datetime import date, datetime
from typing import Any, Optional, Tuple

import click
import orjson

from .account import SyntheticAccount
from .server import SandboxServer
from .switches import KEY, LOGIN, PASSWORD, Switches

DATE = click.DateTime(["%Y-%m-%d"])


def _switched(pairs: Tuple[str, ...]) -> Switches:
    switches = Switches()
    known = {of.name for of in fields(Switches)}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals or name not in known:
            raise click.BadParameter(
                f"{pair!r}: write NAME=VALUE with one of {', '.join(sorted(known))}", param_hint="--switch"
            )
        try:
            parsed: Any = orjson.loads(value)
        except ValueError:
            parsed = value
        setattr(switches, name, {int(at): kind for at, kind in parsed.items()} if name == "faults" else parsed)
    return switches


@click.command()
@click.option("--port", type=int, default=0, help="TCP port on 127.0.0.1; a free one by default.")
@click.option("--seed", type=int, default=1, show_default=True, help="Another seed is another account.")
@click.option("--timezone", default="Europe/Moscow", show_default=True, help="The account's time zone.")
@click.option("--first-day", type=DATE, default="2024-01-01", show_default=True, help="Day of the first calls.")
@click.option("--last-day", type=DATE, help="Day of the last calls; by default they go on to the present.")
@click.option("--calls-per-day", type=float, default=150, show_default=True, help="Calls of an average working day.")
@click.option(
    "--switch",
    "pairs",
    multiple=True,
    metavar="NAME=VALUE",
    help='A switch of comagic/sandbox/switches.py, the value as JSON: bounds=[), latency=0.2, faults={"3":"reset"}.',
)
def main(
    port: int,
    seed: int,
    timezone: str,
    first_day: datetime,
    last_day: Optional[datetime],
    calls_per_day: float,
    pairs: Tuple[str, ...],
) -> None:
    """Serve a synthetic account over the Data API v2.0 on this machine until interrupted.

    Prints one line of JSON with the endpoint and the access, then nothing. Orders to change the account or the switches
    while it runs go to http://127.0.0.1:PORT/sandbox; see SandboxServer.control.
    """
    last: Optional[date] = last_day.date() if last_day else None
    account = SyntheticAccount(
        seed=seed, timezone=timezone, first_day=first_day.date(), last_day=last, calls_per_day=calls_per_day
    )
    gc.set_threshold(100_000)  # a page is ten thousand rows that all live until it is sent
    stop = threading.Event()
    for name in (signal.SIGINT, signal.SIGTERM):
        signal.signal(name, lambda *_: stop.set())
    with SandboxServer(account, _switched(pairs), port) as sandbox:
        access = {"base_url": sandbox.base_url, "access_token": KEY, "login": LOGIN, "password": PASSWORD}
        sys.stdout.write(orjson.dumps(access).decode() + "\n")
        sys.stdout.flush()
        stop.wait()


if __name__ == "__main__":
    main()
