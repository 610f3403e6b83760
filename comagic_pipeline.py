"""Loads call tracking data from CoMagic, UIS, CallGear or Novofon into your warehouse.

    python comagic_pipeline.py --demo    try it: a synthetic account into a DuckDB file, no account needed
    python comagic_pipeline.py check     check credentials and permissions
    python comagic_pipeline.py           load what is new since the last run
    python comagic_pipeline.py status    show how fresh the destination is
    python comagic_pipeline.py verify    compare what was loaded with the API
    python comagic_pipeline.py --help    show all commands

Installed as a package (dlt-source-comagic), the same is the command comagic-pipeline.

Settings are in .dlt/config.toml, credentials in .dlt/secrets.toml, or both in environment variables; see
docs/settings.md. `main` and `main_http` are the entry points of a function at Google Cloud, `handler` of one at Yandex
Cloud; see deploy/README.md.
"""

from typing import Any

import dlt

from comagic.cli.cloud_function import entry_point, serve_event, serve_request
from comagic.cli.commands import run_command_line
from comagic.cli.yandex_function import serve_yandex_event
from comagic.load.destinations import choose_dataset, choose_destination, choose_staging
from comagic.load.runner import Load


def load_comagic(load: Load) -> None:
    """Runs the pipeline: each source of a load is one bounded load package, committed before the next."""
    pipeline = dlt.pipeline(
        "comagic",
        destination=choose_destination(load.destination),
        staging=choose_staging(load.staging),
        dataset_name=choose_dataset(),
    )
    for source in load.sources(pipeline):
        pipeline.run(source)


@entry_point("cloud_event")
def main(event: Any) -> None:
    """Loads what a Pub/Sub message asks for, as a Cloud Function."""
    serve_event(event, load_comagic)


@entry_point("http")
def main_http(request: Any) -> tuple[dict[str, str], int]:
    """Loads what an HTTP request asks for, as a Cloud Function."""
    return serve_request(request, load_comagic)


def handler(event: Any, context: Any) -> dict[str, Any]:
    """Loads what a timer's event or an HTTP request asks for, as a function at Yandex Cloud."""
    return serve_yandex_event(event, context, load_comagic)


def run() -> None:
    """Runs the command line."""
    run_command_line(load_comagic)


if __name__ == "__main__":
    run()
