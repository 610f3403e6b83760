"""The BigQuery emulator as a process."""

import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from duckdb_extensions import import_extension
from filelock import FileLock


@contextmanager
def run_emulator(log: Path, buckets: Path) -> Iterator[str]:
    """Runs an emulator while the `with` block lasts; yields its address.

    Args:
        log: file for what it prints.
        buckets: a folder whose folders are buckets to it.
    """
    with FileLock(Path(tempfile.gettempdir()) / "duckdb_extensions.lock"):  # several workers import it at once
        import_extension("spatial")
    command = [str(Path(sys.executable).parent / "bqemulator"), "start", "--rest-port", "0", "--grpc-port", "0"]
    environment = {**os.environ, "BQEMU_GCS_LOCAL_ROOT": str(buckets)}
    with (
        log.open("wb") as output,
        subprocess.Popen([*command, "--project", "p"], env=environment, stdout=output, stderr=output) as process,
    ):
        try:
            for _ in range(600):
                if found := re.search(r'"host": "127.0.0.1", "port": (\d+), "event": "rest.listen"', log.read_text()):
                    yield f"http://127.0.0.1:{found.group(1)}"
                    return
                assert process.poll() is None, log.read_text()
                time.sleep(0.1)
            raise AssertionError(f"the emulator did not start: {log.read_text()}")
        finally:
            process.terminate()
