"""Parallel tasks: each loads its share of one period, with a state, a lease and staging tables of its own."""

import dlt

from .destinations import choose_dataset, choose_destination, choose_staging
from .runner import Load


def load_task(load: Load, index: int) -> None:
    """Runs one task's pipeline.

    Args:
        load: the load, whose period is this task's share.
        index: which task, from 0.
    """
    pipeline = dlt.pipeline(
        load.pipeline_name,
        destination=choose_destination(load.destination, task=str(index)),
        staging=choose_staging(load.staging),
        dataset_name=choose_dataset(),
    )
    for source in load.sources(pipeline):
        pipeline.run(source)
