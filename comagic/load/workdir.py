"""dlt's working folder of a pipeline: one run at a time, one project's state, and what interrupted runs left there."""

from contextlib import contextmanager
from pathlib import Path
from typing import Callable, Iterator

from dlt import Pipeline
from dlt.pipeline.exceptions import PipelineStepFailed
from filelock import FileLock, Timeout

from ..exceptions import BusyError
from .destinations import this_folder

PLACE = "comagic_place"
"""Key of dlt's local state, which stays on this machine: where the last run was started, and what it loaded to."""


@contextmanager
def sole_run(pipeline: Pipeline) -> Iterator[None]:
    """Keeps other runs of the pipeline out while its `with` block lasts.

    Two at once would mix their load packages in the working folder. The lock is the operating system's, on a file
    beside that folder: it goes with the process, however that ends.

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
            f"Another run is loading here (it holds {file}). Nothing was done: wait for it to end, or stop it."
        ) from None


def keep_to_this_place(pipeline: Pipeline) -> None:
    """Makes dlt's working folder anew if the last run was started in another folder, or loaded to somewhere else.

    dlt has one working folder for a pipeline's name, wherever it is started and whatever it loads to. Two copies of
    this project would go on from each other's cursor and miss what the other loaded; a first load into BigQuery after
    a trial with DuckDB would bring the lookback alone. Made anew, it takes the cursor from the destination.
    """
    if dict(pipeline.state["_local"]).get(PLACE) != _place(pipeline):
        _make_anew(pipeline)


def finish_interrupted(pipeline: Pipeline, tell: Callable[[str], None]) -> None:
    """Brings home the load package that an interrupted run left on this disk: dlt's next run would do nothing else.

    A package that was being loaded is not gone on with. Killed after a staging table was committed and before dlt had
    noted so, dlt 1.31 fills that table a second time, and the upsert inserts each of its rows twice (seen with DuckDB,
    one kill of forty). The package's cursor has not reached the destination either, so its rows are read again.

    A package with rows that dlt cannot prepare would stand in the way of every run to come. It never reached the
    destination, nor did its cursor; so it goes, and its rows are read again.

    Args:
        pipeline: the pipeline.
        tell: takes a sentence for the person who waits.
    """
    if not pipeline.has_pending_data:
        return
    if _has_begun_loading(pipeline):
        tell("An interrupted run left a load package half loaded; its rows are read again.")
        _make_anew(pipeline)
        return
    tell("Finishing the load package of an interrupted run first.")
    try:
        pipeline.run()
    except PipelineStepFailed as failed:
        if failed.step != "normalize":
            raise
        tell("It cannot be finished; its rows are read again.")
        _make_anew(pipeline)


def _make_anew(pipeline: Pipeline) -> None:
    """Empties the working folder, and notes whose it is from now on."""
    pipeline.drop()
    pipeline.set_local_state_val(PLACE, _place(pipeline))


def _place(pipeline: Pipeline) -> str:
    config = pipeline.destination_client().config
    return f"{this_folder()} {config.destination_type} {config.credentials} {pipeline.dataset_name}"


def _has_begun_loading(pipeline: Pipeline) -> bool:
    packages = [pipeline.get_load_package_info(load_id) for load_id in pipeline.list_normalized_load_packages()]
    return any(jobs for package in packages for state, jobs in package.jobs.items() if state != "new_jobs")
