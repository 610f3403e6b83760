"""How this program was started: the installed command, or the script in its folder."""

import re
import sys
from pathlib import Path

from .. import __version__

COMMAND = "comagic-pipeline"
SCRIPT = re.compile(r"(\bpython )?\bcomagic_pipeline\.py\b")


def is_installed_command() -> bool:
    """True if the command of the package was started, `comagic-pipeline.exe` included."""
    return bool(sys.argv) and Path(sys.argv[0]).stem == COMMAND


def as_started(text: str) -> str:
    """Returns a text in which commands are written the way the program was started.

    Args:
        text: with commands such as `python comagic_pipeline.py check`.
    """
    return SCRIPT.sub(COMMAND, text) if is_installed_command() else text


def version_text() -> str:
    """What `--version` prints: version, and those of what it depends on most."""
    import dlt

    python = ".".join(map(str, sys.version_info[:3]))
    return f"dlt-source-comagic {__version__} (dlt {dlt.__version__}, Python {python})"
