"""Keeps pandas out of a process: DuckDB and pyarrow import it, where it is installed, to look for values of its types.

There are none here, and the import takes a third of a second and 50 MB in each process. db-dtypes, which dlt needs for
BigQuery, installs it.
"""

import sys
from importlib.abc import MetaPathFinder
from typing import Any

PANDAS = "pandas"


class _Refusal(MetaPathFinder):
    def find_spec(self, fullname: str, *_: Any) -> None:
        """Refuses pandas, as if it were not installed."""
        if fullname == PANDAS:
            raise ModuleNotFoundError(
                f"{PANDAS} is kept out of this program; to use it, import it at the top of comagic_pipeline.py.",
                name=PANDAS,
            )


def refuse_pandas() -> None:
    """Lets no module of this process import pandas from now on, unless one has."""
    if PANDAS not in sys.modules and not any(isinstance(finder, _Refusal) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Refusal())
