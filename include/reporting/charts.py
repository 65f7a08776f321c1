"""Charts as inline SVG: Dutch numbers, no scripts, no requests, the same bytes for the same counts."""

from __future__ import annotations

import re
from collections.abc import Sequence

BAR_HEIGHT = 22
COLOUR = "#1f5f8b"


def bar_chart(counts: Sequence[tuple[str, int]], title: str) -> str:
    """Horizontal bars, one per (label, count), in the order given; the SVG element as text."""
    import vl_convert

    specification = {
        "$schema": "https://vega.github.io/schema/vega-lite/v5.json",
        "title": {"text": title, "anchor": "start"},
        "data": {"values": [{"label": label, "count": count} for label, count in counts]},
        "width": 420,
        "height": {"step": BAR_HEIGHT},
        "encoding": {
            "y": {"field": "label", "type": "nominal", "sort": None, "axis": {"title": None, "labelLimit": 340}},
            "x": {"field": "count", "type": "quantitative", "axis": {"title": "records", "tickMinStep": 1}},
        },
        "layer": [
            {"mark": {"type": "bar", "color": COLOUR}},
            {
                "mark": {"type": "text", "align": "left", "dx": 4},
                "encoding": {"text": {"field": "count", "type": "quantitative", "format": ",d"}},
            },
        ],
        "config": {"font": "sans-serif", "view": {"stroke": None}},
    }
    svg = vl_convert.vegalite_to_svg(specification, format_locale="nl-NL", time_format_locale="nl-NL")
    return re.sub(r"<\?xml.*?\?>", "", svg)
