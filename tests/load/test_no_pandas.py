"""The program does without pandas, which its libraries would import where it is installed; who wants it can have it."""

import os
import subprocess
import sys
from pathlib import Path

from tests.support.accounts import access_to, recent_account
from tests.support.processes import ROOT, Serve

LOADS_AND_TELLS = """
import atexit, importlib.util, sys
assert importlib.util.find_spec("pandas")
{first}
from comagic_pipeline import run
atexit.register(lambda: print("imported:", "pandas" in sys.modules))
sys.argv[1:] = []
run()
"""


def load(first: str, environment: dict[str, str]) -> str:
    """Loads in a process of its own, and returns what it prints last."""
    ended = subprocess.run(
        [sys.executable, "-c", LOADS_AND_TELLS.format(first=first)],
        env={**environment, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    return ended.stdout.splitlines()[-1]


def test_pandas_is_not_imported_by_a_load_unless_the_program_does(serve: Serve, place: Path) -> None:
    environment = {**os.environ, **access_to(serve(recent_account(3)))}
    assert load("", environment) == "imported: False"
    assert load("import pandas", environment) == "imported: True"


def test_an_import_in_the_program_says_where_it_belongs() -> None:
    code = "from comagic.load.no_pandas import refuse_pandas; refuse_pandas(); refuse_pandas(); import pandas"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=ROOT)
    assert ended.returncode == 1
    assert "import it at the top of comagic_pipeline.py" in ended.stderr
