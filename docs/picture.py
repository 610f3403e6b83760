"""Takes the README's picture of the report: the top of the demo's page in a headless Chromium.

.venv/bin/python comagic_pipeline.py --demo && .venv/bin/python -m docs.picture
"""

import sys
import tempfile
from pathlib import Path

from comagic.cli.demo import REPORT
from tests.support.browser import Browser

PICTURE = Path(__file__).with_name("report.png")
WIDTH, HEIGHT, SCALE = 1180, 1310, 0.7


def take(page: Path, picture: Path) -> None:
    """Writes a picture of the top of a page.

    Args:
        page: the page.
        picture: the PNG file.
    """
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        browser = Browser(Path(folder))
        browser.show(WIDTH, height=HEIGHT)
        browser.open(page)
        browser.run("document.querySelector('nav').remove()")
        browser.settle()
        picture.write_bytes(browser.picture(WIDTH, HEIGHT, SCALE))
        browser.close()


if __name__ == "__main__":
    take(Path(*sys.argv[1:] or [REPORT]), PICTURE)
