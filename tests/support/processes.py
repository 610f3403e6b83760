"""The script as a process, its outcome, and processes that die at a chosen moment."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Event, Timer

from comagic.sandbox import SandboxServer, SyntheticAccount
from tests.support.accounts import access_to

ROOT = Path(__file__).parent.parent.parent
SCRIPT = ROOT / "comagic_pipeline.py"


@dataclass(frozen=True)
class Outcome:
    """How a command ended.

    Attributes:
        code: its exit code.
        out: what it printed.
        err: what it printed to stderr.
    """

    code: int
    out: str
    err: str


Serve = Callable[..., SandboxServer]
Command = Callable[..., Outcome]
Start = Callable[..., "subprocess.Popen[str]"]

SMALL_PACKAGES = {"SOURCES__COMAGIC__LOAD_PACKAGE_ROWS": "150", "SOURCES__COMAGIC__WINDOW_DAYS": "3"}
"""Environment under which the calls of `recent_account` are loaded in several load packages."""


DIES_BEFORE_NOTING = """
import os, sys
from dlt.common.storages.load_package import PackageStorage
from comagic.cli.commands import run_command_line
from comagic_pipeline import load_comagic

table = sys.argv.pop()
save = PackageStorage.save_pending_transition

def save_or_die(storage, load_id, file_name, *outcome):
    if file_name.startswith(f"{table}."):
        os._exit(9)
    save(storage, load_id, file_name, *outcome)

PackageStorage.save_pending_transition = save_or_die
run_command_line(load_comagic)
"""


def die_before_noting(table: str, environment: dict[str, str]) -> None:
    """Runs a load that dies, as after a kill, when a table's rows are committed and dlt has not noted that yet."""
    ended = subprocess.run(
        [sys.executable, "-c", DIES_BEFORE_NOTING, table],
        env={**os.environ, **environment, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        check=False,
    )
    assert ended.returncode == 9, ended.stderr


DIES_BEFORE_LOADING = """
import os
import dlt
from comagic.cli.commands import run_command_line
from comagic_pipeline import load_comagic

dlt.Pipeline.load = lambda *_, **__: os._exit(9)
run_command_line(load_comagic)
"""


def die_before_loading(environment: dict[str, str]) -> None:
    """Runs a load that dies, as after a kill, when its load package is normalized and not yet being loaded."""
    ended = subprocess.run(
        [sys.executable, "-c", DIES_BEFORE_LOADING],
        env={**os.environ, **environment, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        check=False,
    )
    assert ended.returncode == 9, ended.stderr


LOADS_ONE_AFTER_ANOTHER = """
import os, re, sys, tempfile
from dlt.common.configuration.container import Container
from dlt.common.configuration.specs import PluggableRunContext
from comagic.cli.commands import run_command_line
from comagic_pipeline import load_comagic

sys.argv[0] = "comagic_pipeline.py"
for url in sys.stdin:
    os.chdir(tempfile.mkdtemp(dir=os.environ["DLT_DATA_DIR"]))
    os.environ |= {"SOURCES__COMAGIC__BASE_URL": url.strip(), "DLT_DATA_DIR": os.getcwd()}
    Container()[PluggableRunContext].reload()
    code = 0
    try:
        run_command_line(load_comagic)
    except SystemExit as stop:
        code = stop.code
    sys.stdout.flush()
    with open("/proc/self/status") as status:  # ru_maxrss would be at least that of the process that started this one
        kilobytes = re.search(r"VmHWM:\\s*(\\d+)", status.read())[1]
    print("END", code, kilobytes, file=sys.stderr, flush=True)
"""


class Loader:
    """A process that makes one load after another, each into an empty folder: a start takes longer than a load.

    Args:
        environment: more environment variables.
        *words: words of the command line.
    """

    def __init__(self, environment: dict[str, str], *words: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", LOADS_ONE_AFTER_ANOTHER, *words],
            env={**os.environ, **environment, "PYTHONPATH": str(ROOT)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def load(self, base_url: str, seconds: float) -> tuple[int, int, str]:
        """Makes a load; returns its exit code, the most memory in megabytes so far, and what was printed.

        After so many seconds the process is killed, and an error raised.
        """
        process = self._process
        assert process.stdin
        assert process.stdout
        timer = Timer(seconds, process.kill)
        timer.start()
        try:
            process.stdin.write(f"{base_url}\n")
            process.stdin.flush()
            printed: list[str] = []
            for line in process.stdout:
                if line.startswith("END "):
                    _, code, kilobytes = line.split()
                    return int(code), int(kilobytes) // 1024, "".join(printed)
                printed.append(line)
        finally:
            timer.cancel()
        raise AssertionError(f"killed after {seconds} seconds, or died: {''.join(printed)}")

    def __enter__(self) -> "Loader":
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        with self._process:
            pass


@contextmanager
def load_that_waits(
    serve: Serve, start: Start, account: SyntheticAccount, **environment: str
) -> Iterator["subprocess.Popen[str]"]:
    """A load as a process, whose third request is answered when the `with` block ends."""
    reached, released = Event(), Event()

    def wait(request: int) -> None:
        if request == 3:
            reached.set()
            released.wait(60)

    process = start(**{**access_to(serve(account, before_answer=wait)), **environment})
    assert reached.wait(60)
    try:
        yield process
    finally:
        released.set()
