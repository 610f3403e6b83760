"""How many processes dlt normalizes a load package with: two for a large one, where the machine has the cores.

Two processes halve the time of what takes longest, and cost a third of a second and some memory, so that small packages
are normalized in this process. They come from a fork server, which starts them in hundredths of a second: a fork would
be unsafe beside the threads that read ahead, and a new interpreter for each package would take half a second.
"""

import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from importlib.machinery import ModuleSpec
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any

import dlt
from dlt.common import logger

from ..redaction import printable
from .dlt_settings import configured
from .merge import release_memory

WORKERS = 2
MIN_ROWS = 50_000
"""Rows of the reports and dictionaries of a package, without those of child tables, from which two processes pay."""
SERVER_ROWS = 20_000
"""Rows from which the fork server is started: its imports take two seconds, beside the reading of more rows."""
ROWS_PER_FILE = 4_000
"""Rows after which dlt begins another file: it gives each process half of the files, whatever rows they have."""
WORKER_SETTING, METHOD_SETTING = "normalize.workers", "normalize.start_method"
FILE_SETTING = "sources.data_writer.file_max_items"
_STARTING = threading.Lock()


def can_use_workers() -> bool:
    """Whether packages can be normalized by several processes.

    Not if the user has chosen a number of workers, nor with one core, nor on systems other than Linux (macOS has a fork
    server too, but that was not tried), nor in a process that may not have children, or in a thread.
    """
    is_chosen = dlt.config.get(WORKER_SETTING) is not None
    is_main = threading.current_thread() is threading.main_thread() and not multiprocessing.current_process().daemon
    return not is_chosen and is_main and sys.platform == "linux" and len(os.sched_getaffinity(0)) >= WORKERS


@contextmanager
def several_workers() -> Iterator[None]:
    """Prepares dlt and this process for several workers in the `with` block, and ends those that are left after it.

    Python would wait for what they are doing, for half a minute and more, before it ends.
    """
    others = multiprocessing.active_children()
    settings: dict[str, Any] = {WORKER_SETTING: 1, METHOD_SETTING: "forkserver"}
    settings |= {} if dlt.config.get(FILE_SETTING) else {FILE_SETTING: ROWS_PER_FILE}
    # Workers would import the program; with this they do not, and it is dlt's own way in orchestrators.
    main = sys.modules["__main__"]
    spec = getattr(main, "__spec__", None)
    main.__spec__ = ModuleSpec("__main__", loader=None)
    try:
        with configured(settings):
            yield
    finally:
        main.__spec__ = spec
        kind = multiprocessing.get_context("forkserver").Process
        for process in multiprocessing.active_children():
            if isinstance(process, kind) and process not in others:
                process.kill()


def choose_workers(rows: int) -> None:
    """Chooses by how many processes dlt will normalize the package that is being extracted.

    Args:
        rows: its rows so far.
    """
    if rows >= SERVER_ROWS:
        _start_server()
    is_large = rows >= MIN_ROWS and _start_server()
    if is_large:
        release_memory()  # what the pages took: the workers need it
    dlt.config[WORKER_SETTING] = WORKERS if is_large else 1


def start_process(target: Callable[..., None], *arguments: Any) -> tuple[BaseProcess, Connection]:
    """Starts a process from the fork server, as soon as that is ready, with a connection to it.

    Args:
        target: a function of a module; its first argument is its end of the connection.
        arguments: further arguments.

    Raises:
        EOFError, OSError: there can be none.
    """
    if not _start_server():
        raise OSError("There is no fork server.")
    context = multiprocessing.get_context("forkserver")
    own, other = context.Pipe()
    process = context.Process(target=target, args=(other, *arguments), daemon=True)
    process.start()
    other.close()
    return process, own


def _start_server() -> bool:
    """Starts the fork server, which imports what its processes need while the package is still being read.

    Returns:
        Whether it is there.
    """
    with _STARTING:
        return _start_server_once()


@cache
def _start_server_once() -> bool:
    from multiprocessing.forkserver import ensure_running  # Windows has none

    module = f"{__package__}.normalize_worker"
    multiprocessing.set_forkserver_preload([module])
    path = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, sys.path))  # Python 3.11 does not pass it on
    signals = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    try:
        multiprocessing.get_context("forkserver").Lock()  # what workers share: not every system has it
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})  # or its imports would print a traceback
        ensure_running()
    except (ImportError, OSError) as error:  # no /dev/shm, a temporary folder whose name is too long for a socket
        logger.warning(f"Large load packages are normalized by one process: {printable(str(error))}.")
        return False
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, signals)
        del os.environ["PYTHONPATH"]
        if path is not None:
            os.environ["PYTHONPATH"] = path
    return True
