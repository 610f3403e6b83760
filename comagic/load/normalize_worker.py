"""What the fork server imports for the processes that normalize; nothing else imports it.

A worker ends when the fork server does. After SIGKILL of the load that stays: Python gives each worker the end of the
pipe by which the server would see that its owner is gone.
"""

import ctypes
import gc
import os
import signal
from contextlib import suppress

import dlt.normalize.normalize  # noqa: F401

from .no_pandas import refuse_pandas

with suppress(ImportError):  # not installed with PostgreSQL alone
    import pyarrow.parquet  # noqa: F401

PR_SET_PDEATHSIG = 1
"""Linux: the signal that a process gets when its parent ends."""


def end_with_parent() -> None:
    """Makes this process end when its parent does."""
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


refuse_pandas()  # as in the program itself
gc.freeze()  # so too
gc.set_threshold(100_000)
os.register_at_fork(after_in_child=end_with_parent)
