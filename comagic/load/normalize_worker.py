"""What the fork server imports for the processes that it starts; nothing else imports it.

A process ends when the load does, also after SIGKILL: it would write on into a folder that the next run repairs. The
fork server waits for its last process, and ends too.
"""

import gc
import multiprocessing
import os
import threading
from contextlib import suppress
from multiprocessing import util

import dlt.normalize.normalize  # noqa: F401

from .no_pandas import refuse_pandas

with suppress(ImportError):  # not installed with PostgreSQL alone
    import pyarrow.parquet  # noqa: F401


def watch_owner(_: object) -> None:
    """Makes this process end when the one that asked for it does."""
    threading.Thread(target=_end_with_owner, daemon=True).start()


def _end_with_owner() -> None:
    if owner := multiprocessing.parent_process():  # not the fork server, which forks: Python knows both
        owner.join()
        os._exit(1)


refuse_pandas()  # as in the program itself
gc.freeze()  # so too
gc.set_threshold(100_000)
util.register_after_fork(watch_owner, watch_owner)
