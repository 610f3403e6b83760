"""dlt's working folder of a pipeline: one run at a time, one project's state, and what interrupted runs left there."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from dlt import Pipeline
from dlt.pipeline.exceptions import PipelineStepFailed
from filelock import FileLock, Timeout

from ..exceptions import BusyError
from .destinations import current_folder

LAST_RUN_KEY = "comagic_last_run"
"""Key in dlt's local state, which stays on this machine: where the last run was started, and what it loaded into."""


@contextmanager
def exclusive_run(pipeline: Pipeline) -> Iterator[None]:
    """Keeps other runs of the pipeline out while its `with` block lasts.

    Two at once would mix their load packages in the working folder. The lock is the operating system's, on a file
    beside that folder: it is released with the process, however that ends.

    Raises:
        BusyError: another process holds the lock.
    """
    file = Path(pipeline.pipelines_dir) / f"{pipeline.pipeline_name}.lock"
    file.parent.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(file, timeout=0):
            yield
    except Timeout:
        raise BusyError(
            f"Another run is active on this machine (it holds {file}). Nothing was loaded: wait for it to end, or stop "
            "it."
        ) from None


def reset_if_moved(pipeline: Pipeline) -> None:
    """Recreates dlt's working folder if the last run was started in another folder, or loaded into something else.

    dlt has one working folder for a pipeline's name, wherever it is started and whatever it loads into. Two copies of
    this project would continue from each other's cursor and miss what the other loaded; a first load into BigQuery
    after a trial with DuckDB would load the lookback alone. A new folder takes the cursor from the destination.
    """
    if dict(pipeline.state["_local"]).get(LAST_RUN_KEY) != _this_run(pipeline):
        _reset(pipeline)


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
        _reset(pipeline)
        return
    report("Finishing the load package of an interrupted run first.")
    try:
        pipeline.run()
    except PipelineStepFailed as failed:
        if failed.step != "normalize":
            raise
        report("It cannot be finished; its rows are read again.")
        _reset(pipeline)


def _reset(pipeline: Pipeline) -> None:
    """Empties the working folder, and notes whose it is from now on."""
    pipeline.drop()
    pipeline.set_local_state_val(LAST_RUN_KEY, _this_run(pipeline))


def _this_run(pipeline: Pipeline) -> str:
    config = pipeline.destination_client().config
    return f"{current_folder()} {config.destination_type} {config.credentials} {pipeline.dataset_name}"


def _started_loading(pipeline: Pipeline) -> bool:
    packages = [pipeline.get_load_package_info(load_id) for load_id in pipeline.list_normalized_load_packages()]
    return any(jobs for package in packages for state, jobs in package.jobs.items() if state != "new_jobs")
