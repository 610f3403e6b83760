"""dlt's working folder of a pipeline: one run at a time, one project's state, and what interrupted runs left there."""

import shutil
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import dlt
from dlt import Pipeline, Schema
from dlt.common.exceptions import DltException
from dlt.common.json import json
from dlt.common.pipeline import get_dlt_pipelines_dir
from dlt.common.versioned_state import json_decode_state
from dlt.pipeline.exceptions import PipelineStepFailed

from .destinations import current_folder
from .lease import hold_file

LAST_RUN_KEY = "comagic_last_run"
"""Key in dlt's local state, which stays on this machine: where the last run was started, and what it loaded into."""


PRIVATE = 0o700
"""Mode of a folder that nobody else can read: rows are in it while they are loaded."""


@contextmanager
def exclusive_run(pipeline_name: str, wait: Callable[[], bool], report: Callable[[str], None]) -> Iterator[str]:
    """Keeps other runs of a pipeline out of its working folder while its `with` block lasts; repairs the folder first.

    Two at once would mix their load packages. The lock is on a file beside the folder. The folder is a copy of what the
    destination has: where dlt could not read it, it is deleted, and dlt creates it again from the destination.

    Args:
        pipeline_name: the pipeline's name; it is opened after the lock is held.
        wait: see `hold_dataset`.
        report: takes a message for the user.

    Yields:
        A random name of the folder. A process that used the folder under this name before has ended.

    Raises:
        BusyError: another process holds the lock.
    """
    configured: Any = dlt.config.get("pipelines_dir")
    folder = Path(configured or get_dlt_pipelines_dir()) / pipeline_name
    with hold_file(folder.with_name(f"{pipeline_name}.lock"), wait):
        if folder.exists() and not _is_readable(folder):
            report(f"dlt's working folder {folder} is damaged; it is created again from the destination.")
            shutil.rmtree(folder)
        if folder.exists():
            folder.chmod(PRIVATE)
        name = folder.with_name(f"{pipeline_name}.id")
        if not name.exists():
            name.write_text(uuid.uuid4().hex)
        yield name.read_text()


def _is_readable(folder: Path) -> bool:
    """True if dlt can read its state and schemas of a working folder."""
    try:
        if (state := folder / Pipeline.STATE_FILE).exists():
            dict(json_decode_state(state.read_text("utf-8")))["_state_version"]
        for file in folder.glob("schemas/*.json"):
            Schema.from_stored_schema(json.loads(file.read_text("utf-8")))
    except (ValueError, KeyError, TypeError, DltException):
        return False
    return True


def reset_if_moved(pipeline: Pipeline) -> None:
    """Recreates dlt's working folder if the last run was started in another folder, or loaded into something else.

    dlt has one working folder for a pipeline's name, wherever it is started and whatever it loads into. Two copies of
    this project would continue from each other's cursor and miss what the other loaded; a first load into BigQuery
    after a trial with DuckDB would load the lookback alone. A new folder takes the cursor from the destination.
    """
    if dict(pipeline.state["_local"]).get(LAST_RUN_KEY) != _this_run(pipeline):
        reset(pipeline)


def finish_interrupted(pipeline: Pipeline, report: Callable[[str], None]) -> None:
    """Finishes the load package that an interrupted run left on this disk: dlt's next run would do nothing else.

    A package that was being loaded is dropped. Killed after a staging table was committed and before dlt had noted it,
    dlt 1.31 fills that table a second time, and the upsert inserts each of its rows twice (seen with DuckDB, one kill
    of forty). The package's cursor has not reached the destination either, so its rows are read again.

    A package with rows that dlt cannot normalize would block every run to come. Neither it nor its cursor reached the
    destination, so it is dropped and its rows are read again.

    Args:
        pipeline: the pipeline.
        report: takes a message for the user.
    """
    if not pipeline.has_pending_data:
        return
    if _started_loading(pipeline):
        report("An interrupted run left a load package half loaded; its rows are read again.")
        reset(pipeline)
        return
    report("Finishing the load package of an interrupted run first.")
    try:
        pipeline.run()
    except PipelineStepFailed as failed:
        if failed.step != "normalize":
            raise
        report("It cannot be finished; its rows are read again.")
        reset(pipeline)


def reset(pipeline: Pipeline) -> None:
    """Empties the working folder, and notes whose it is from now on."""
    pipeline.drop()
    pipeline.set_local_state_val(LAST_RUN_KEY, _this_run(pipeline))


def _this_run(pipeline: Pipeline) -> str:
    config = pipeline.destination_client().config
    return f"{current_folder()} {config.destination_type} {config.credentials} {pipeline.dataset_name}"


def _started_loading(pipeline: Pipeline) -> bool:
    """True if a package's loading had begun, or if dlt cannot read the package."""
    try:
        packages = [pipeline.get_load_package_info(load_id) for load_id in pipeline.list_normalized_load_packages()]
    except (ValueError, KeyError, OSError, DltException):
        return True
    return any(jobs for package in packages for state, jobs in package.jobs.items() if state != "new_jobs")
