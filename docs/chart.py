"""Draws the tables of docs/performance.md as a chart, so that figures stand in one place."""

import re
from collections.abc import Iterator
from html import escape

SECTIONS = (("A second a response, 60 requests a minute", "1 s a response"), ("No latency:", "no latency"))
"""Words before each table in the page, and its title in the chart."""
ROW = re.compile(r"^\| (?P<method>[^|]+) \| (?P<seconds>[\d.]+) \|", re.MULTILINE)
WIDTH, LEFT, BAR, GAP = 920, 420, 22, 8
PIPELINE = "this pipeline"
FONT = "system-ui, -apple-system, Segoe UI, Roboto, Helvetica, Arial, sans-serif"


def draw(page: str) -> str:
    """Returns an SVG with a bar for each row of the page's tables.

    Args:
        page: the text of docs/performance.md.
    """
    groups = [(title, list(_rows(page.split(words, 1)[1]))) for words, title in SECTIONS]
    scale = (WIDTH - LEFT - 70) / max(seconds for _, rows in groups for _, seconds in rows)
    body, top = [], 16
    for title, rows in groups:
        body.append(f'  <text x="16" y="{top + 16}" font-weight="600">{escape(title)}, seconds</text>')
        top += 30
        for method, seconds in rows:
            fill = "#54aeff" if method == PIPELINE else "#afb8c1"
            width = round(seconds * scale)
            body += [
                f'  <text x="{LEFT - 10}" y="{top + 16}" text-anchor="end">{escape(method)}</text>',
                f'  <rect x="{LEFT}" y="{top}" width="{width}" height="{BAR}" rx="3" fill="{fill}"/>',
                f'  <text x="{LEFT + width + 8}" y="{top + 16}">{seconds:g}</text>',
            ]
            top += BAR + GAP
        top += 14
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {top}" font-family="{FONT}" font-size="13" '
        'role="img" aria-label="Seconds that each way to load takes; the figures are in the tables below">'
    )
    return "\n".join([head, f'  <rect width="{WIDTH}" height="{top}" rx="12" fill="#ffffff"/>', *body, "</svg>"]) + "\n"


def _rows(text: str) -> Iterator[tuple[str, float]]:
    """Methods and seconds of the first table in a text."""
    table = text.split("\n\n|", 1)[1].split("\n\n", 1)[0]
    for row in ROW.finditer("|" + table):
        method = re.split(r"[:,] ", row["method"])[0].strip()
        yield (row["method"] if "same" in method else method).replace("`", ""), float(row["seconds"])
