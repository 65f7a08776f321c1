"""Charts as inline SVG: Dutch numbers, no scripts, no requests, the same bytes for the same counts.

Rule: colour says one thing in the whole report (the group of a result, or the unit that is counted), every bar carries
its number, and the legend is text of the page, not of the chart.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

INK, MUTED, LINE = "#1b2733", "#55636f", "#dde3e8"
WIDTH = 560
LABELS = 250
BAR_STEP = 24


@dataclass(frozen=True)
class Bar:
    """One bar: what it counts, how many, what stands behind the number, and the kind that gives it its colour."""

    label: str
    count: float
    said: str
    kind: str


def bars(rows: Sequence[Bar], colours: Mapping[str, str], about: str) -> str:
    """Horizontal bars in the order given, each with its own text behind it."""
    values = [vars(row) for row in rows]
    return _svg(
        {
            "data": {"values": values},
            "width": WIDTH,
            "height": {"step": BAR_STEP},
            "encoding": {
                "y": {
                    "field": "label", "type": "nominal", "sort": None,
                    # a fixed width: the reader's fonts differ from those the chart is measured with
                    "axis": {
                        "title": None, "labelLimit": LABELS, "minExtent": LABELS, "maxExtent": LABELS, "domain": False,
                        "ticks": False, "labelPadding": 8,
                    },
                },
                # room at the right for the longest text behind a bar
                "x": {
                    "field": "count", "type": "quantitative", "axis": None,
                    "scale": {"domain": [0, max([row.count for row in rows] + [1]) * 1.7], "nice": False},
                },
            },
            "layer": [
                {"mark": {"type": "bar", "cornerRadiusEnd": 2}, "encoding": {"color": _colour(colours)}},
                {
                    "mark": {"type": "text", "align": "left", "dx": 6, "color": INK},
                    "encoding": {"text": {"field": "said", "type": "nominal"}},
                },
            ],
        },
        about,
    )  # fmt: skip


def stacked_columns(
    rows: Sequence[tuple[str, str, int]], colours: Mapping[str, str], axis: tuple[str, str], about: str
) -> str:
    """Columns in the order given, one (column, kind, count) a part."""
    return _svg(
        {
            "data": {"values": [{"x": x, "kind": kind, "count": count} for x, kind, count in rows]},
            "width": WIDTH + 200,
            "height": 190,
            "mark": {"type": "bar"},
            "encoding": {
                "x": {"field": "x", "type": "nominal", "sort": None, "axis": {"title": axis[0], "labelAngle": 0}},
                "y": {"field": "count", "type": "quantitative", "axis": {"title": axis[1], "tickMinStep": 1}},
                "color": _colour(colours),
                "order": {"field": "kind", "sort": "ascending"},
            },
        },
        about,
    )


def lines(rows: Sequence[tuple[str, str, float]], colours: Mapping[str, str], about: str) -> str:
    """Shares over months: one (month, kind, share between 0 and 1) a point."""
    return _svg(
        {
            "data": {"values": [{"x": x, "kind": kind, "share": share} for x, kind, share in rows]},
            "width": WIDTH + 200,
            "height": 190,
            "mark": {"type": "line", "point": True, "strokeWidth": 2},
            "encoding": {
                "x": {"field": "x", "type": "nominal", "sort": None, "axis": {"title": None, "labelAngle": 0}},
                "y": {
                    "field": "share", "type": "quantitative", "axis": {"title": None, "format": ".0%"},
                    "scale": {"domain": [0, 1]},
                },
                "color": _colour(colours),
            },
        },
        about,
    )  # fmt: skip


def _colour(colours: Mapping[str, str]) -> dict[str, Any]:
    return {
        "field": "kind", "type": "nominal", "scale": {"domain": list(colours), "range": list(colours.values())},
        "legend": None,
    }  # fmt: skip


_CONFIG: dict[str, Any] = {
    "font": "sans-serif",
    "view": {"stroke": None},
    "axis": {
        "labelColor": INK,
        "titleColor": MUTED,
        "gridColor": LINE,
        "labelFontSize": 12,
        "titleFontWeight": "normal",
    },
    "text": {"fontSize": 12},
}


def _svg(specification: dict[str, Any], about: str) -> str:
    import vl_convert

    specification = {"$schema": "https://vega.github.io/schema/vega-lite/v5.json", "config": _CONFIG} | specification
    svg = vl_convert.vegalite_to_svg(specification, format_locale="nl-NL", time_format_locale="nl-NL")
    svg = re.sub(r"<\?xml.*?\?>", "", svg)
    svg = _with_own_names(svg, about)
    # who cannot see the chart hears what it is about; the numbers stand in the table beside it
    return svg.replace("<svg ", f'<svg role="img" aria-label="{about}" ', 1)


def _with_own_names(svg: str, about: str) -> str:
    """The renderer counts its names through the whole process; here they are the chart's own, the same every time."""
    prefix = hashlib.sha256(about.encode()).hexdigest()[:6]
    names = {
        name: f"c{prefix}-{number}" for number, name in enumerate(dict.fromkeys(re.findall(r'\bid="([^"]+)"', svg)))
    }
    if not names:
        return svg
    pattern = "|".join(re.escape(name) for name in sorted(names, key=len, reverse=True))
    return re.sub(rf'(id="|url\(#|href="#)({pattern})(?=["\)])', lambda found: found[1] + names[found[2]], svg)
