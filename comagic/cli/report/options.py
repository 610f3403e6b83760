"""ECharts' options of the report's charts, as data; the page's script fills in colours and number formats.

A text `$name` is the page's CSS variable `--name`; an object's `$format` is a format of numbers that the script knows.
"""

from collections.abc import Sequence
from typing import Any

Option = dict[str, Any]

STRIPES = {"symbol": "rect", "dashArrayX": [1, 0], "dashArrayY": [2, 4], "rotation": -0.7854, "color": "$decal"}
DOTS = {
    "symbol": "circle",
    "dashArrayX": [[6, 6], [0, 6, 6, 0]],
    "dashArrayY": [6, 0],
    "symbolSize": 0.5,
    "color": "$decal",
}
PLAIN = {"symbol": "none"}
"""Patterns of surfaces, so that nobody has to tell them apart by colour."""

ROW_HEIGHT, FRAME_HEIGHT = 34, 84
"""Pixels of a bar, and of the axis and the legend around the bars."""


def series(name: str, values: Sequence[Any], colour: str, decal: Option, stack: str | None = "all") -> Option:
    """A series of bars; those of one stack are on top of each other."""
    return {
        "type": "bar",
        "name": name,
        "stack": stack,
        "data": list(values),
        "barMaxWidth": 44,
        "itemStyle": {"color": colour, "decal": decal, "borderColor": "$surface", "borderWidth": 0.5},
    }


def columns(categories: Sequence[str], bars: Sequence[Option], value_format: str = "integer") -> Option:
    """Columns along a time or an ordered scale."""
    return {
        "legend": {"show": len(bars) > 1},
        "tooltip": {"trigger": "axis", "axisPointer": {"type": "shadow"}, "$format": value_format},
        "xAxis": {"type": "category", "data": list(categories), "axisLabel": {"hideOverlap": True}},
        "yAxis": {"type": "value", "axisLabel": {"$format": value_format}, "minInterval": 1},
        "series": list(bars),
    }


def rows(categories: Sequence[str], bars: Sequence[Option], value_format: str = "integer") -> Option:
    """Rows of bars, each with a name, the first on top."""
    return {
        "legend": {"show": len(bars) > 1},
        "tooltip": {"trigger": "axis", "axisPointer": {"type": "shadow"}, "$format": value_format},
        "xAxis": {"type": "value", "axisLabel": {"$format": value_format, "hideOverlap": True}},
        "yAxis": {
            "type": "category",
            "inverse": True,
            "data": list(categories),
            "axisLabel": {"$names": True, "interval": 0},
        },
        "series": list(bars),
    }


def labelled(bars: Option, value_format: str = "integer", position: str = "right") -> Option:
    """The same bars with their numbers at their ends."""
    return {**bars, "label": {"show": True, "position": position, "color": "$text", "$format": value_format}}


def heat_map(across: Sequence[str], down: Sequence[str], cells: Sequence[Option], most: int) -> Option:
    """A heat map with a number in each cell, where there is room for it."""
    base = {
        "legend": {"show": False},
        "tooltip": {"trigger": "item", "$format": "named"},
        "grid": {"bottom": 64, "top": 8},
        "xAxis": {"type": "category", "data": list(across), "splitArea": {"show": False}, "axisTick": {"show": False}},
        "yAxis": {"type": "category", "data": list(down), "inverse": True, "axisTick": {"show": False}},
        "visualMap": {
            "type": "continuous",
            "min": 0,
            "max": max(most, 1),
            "orient": "horizontal",
            "left": "center",
            "bottom": 0,
            "itemHeight": 160,
            "calculable": False,
            "precision": 0,
            "text": [str(most), "0"],
            "textStyle": {"color": "$text"},
            "inRange": {"color": ["$heat-0", "$heat-1", "$heat-2", "$heat-3"]},
        },
        "series": [
            {
                "type": "heatmap",
                "data": list(cells),
                "label": {"show": True, "fontSize": 11},
                "itemStyle": {"borderColor": "$surface", "borderWidth": 1, "decal": PLAIN},
            }
        ],
    }
    narrow = {"series": [{"label": {"show": False}}], "xAxis": {"axisLabel": {"interval": 2}}}
    return {"baseOption": base, "media": [{"query": {"maxWidth": 620}, "option": narrow}]}


def height_of_rows(number: int) -> int:
    """Pixels that so many rows take."""
    return FRAME_HEIGHT + ROW_HEIGHT * max(number, 1)
