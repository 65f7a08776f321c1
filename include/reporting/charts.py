"""Charts as inline SVG: Dutch numbers, no scripts, no requests, the same bytes for the same counts.

Rule: colour says one thing in the whole report (a group of results, or a unit that is counted) and is never the only
way to tell things apart: every bar, cell and line carries its own text. The palette is that of Okabe and Ito, which
people with any kind of colour blindness can tell apart.
How to change: a chart is one function that takes rows and gives SVG; its look is in `_CONFIG`.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from include.reporting.dutch import percent

if TYPE_CHECKING:
    import altair as alt

INK, MUTED, LINE, PALE = "#1d2731", "#5b6874", "#e3e8ec", "#eef2f5"
BLUE, GREEN, ORANGE, PURPLE, GREY = "#0072b2", "#009e73", "#d55e00", "#8a5a94", "#a9b3bc"
#: grey that can be read as text
DARK_GREY = "#66737f"
WIDTH = 860
LABELS = 270
BAR_STEP = 27
#: how wide a letter of a text may turn out; the reader's fonts are not those the chart is measured with
LETTER = 7.2


@dataclass(frozen=True)
class Bar:
    """One bar: what it counts, how many, what stands behind the number, and the kind that gives it its colour."""

    label: str
    count: float
    said: str
    kind: str


@dataclass(frozen=True)
class Interval:
    """A share with the interval it lies in, and its counts in words."""

    label: str
    value: float
    lower: float
    upper: float
    said: str


@dataclass(frozen=True)
class Cell:
    """One cell of a table that is coloured by its share, with that share and its counts in words."""

    row: str
    column: str
    share: float
    percent: str
    said: str


@dataclass(frozen=True)
class Point:
    """One value of a line."""

    at: str
    kind: str
    value: float


def bars(rows: Sequence[Bar], colours: Mapping[str, str], about: str) -> str:
    """Horizontal bars in the order given, each with its own text behind it."""
    alt = _altair()
    # room at the right for the longest text behind the longest bar
    longest = max([row.count for row in rows] + [1])
    room = max(len(row.said) for row in rows) * LETTER
    across = longest * (WIDTH - LABELS) / max(WIDTH - LABELS - room, 120)
    base = _chart(rows).encode(
        y=alt.Y("label:N", sort=None, axis=_labels(), scale=alt.Scale(paddingInner=0.28)),
        x=alt.X("count:Q", axis=None, scale=alt.Scale(domain=[0, across], nice=False)),
    )
    bar = base.mark_bar(cornerRadiusEnd=2).encode(color=_colour(colours))
    text = base.mark_text(align="left", dx=7, color=INK).encode(text="said:N")
    return _svg((bar + text).properties(width=WIDTH - LABELS, height={"step": BAR_STEP}), about)


def intervals(rows: Sequence[Interval], colour: str, about: str) -> str:
    """Shares as points on the line they may lie on, each with its own text behind it."""
    alt = _altair()
    labels = max(len(row.label) for row in rows) * LETTER + 20
    across = WIDTH - labels
    most = max(row.upper / (1 - min(len(row.said) * LETTER + 20, across * 0.6) / across) for row in rows)
    base = _chart(rows).encode(y=alt.Y("label:N", sort=None, axis=_labels(labels)))
    line = base.mark_rule(strokeWidth=7, opacity=0.28, color=colour, strokeCap="round").encode(
        x=alt.X("lower:Q", scale=alt.Scale(domain=[0, most], nice=False), axis=_percent_axis()), x2="upper:Q"
    )
    point = base.mark_point(filled=True, size=95, color=colour, opacity=1).encode(x="value:Q")
    text = base.mark_text(align="left", dx=12, color=INK).encode(x="upper:Q", text="said:N")
    return _svg((line + point + text).properties(width=across, height={"step": 38}), about)


def heat(rows: Sequence[Cell], colour: str, about: str, column_title: str) -> str:
    """A table whose cells are darker where the share is larger; each cell says its share and counts."""
    alt = _altair()
    base = _chart(rows).encode(
        x=alt.X("column:N", sort=None, axis=alt.Axis(title=column_title, labelAngle=0, orient="top", domain=False,
                                                      ticks=False, titleAlign="left", titleAnchor="start")),
        y=alt.Y("row:N", sort=None, axis=_labels(90)),
    )  # fmt: skip
    most = max([row.share for row in rows] + [0.01])
    cell = base.mark_rect(stroke="#ffffff", strokeWidth=2, cornerRadius=3).encode(
        color=alt.Color("share:Q", scale=alt.Scale(domain=[0, most], range=["#f2f6f9", colour]), legend=None)
    )
    dark = alt.datum.share > most * 0.6
    text = base.mark_text(fontWeight=600, dy=-7, fontSize=13).encode(
        text="percent:N", color=alt.condition(dark, alt.value("#ffffff"), alt.value(INK))
    )
    counts = base.mark_text(dy=9, fontSize=10.5).encode(
        text="said:N", color=alt.condition(dark, alt.value("#ffffff"), alt.value(INK))
    )
    columns = len({row.column for row in rows})
    return _svg((cell + text + counts).properties(width=min(WIDTH - 90, 96 * columns), height={"step": 46}), about)


def stacked_columns(
    rows: Sequence[tuple[str, str, int]], colours: Mapping[str, str], axis: tuple[str, str], about: str
) -> str:
    """Columns in the order given, one (column, kind, count) a part, with the total above."""
    alt = _altair()
    names = list(dict.fromkeys(x for x, _, _ in rows))
    values = [{"x": x, "kind": kind, "count": count, "rank": list(colours).index(kind)} for x, kind, count in rows]
    totals = [
        {"x": name, "total": total} for name in names if (total := sum(count for x, _, count in rows if x == name))
    ]
    x = alt.X("x:N", sort=None, axis=alt.Axis(title=axis[0], labelAngle=0, ticks=False, domainColor=GREY))
    column = (
        alt.Chart(alt.Data(values=values))
        .mark_bar(width={"band": 0.72})
        .encode(
            x=x,
            y=alt.Y("count:Q", axis=alt.Axis(title=axis[1], tickMinStep=1, tickCount=4, domain=False, ticks=False)),
            color=_colour(colours),
            order=alt.Order("rank:Q"),
        )
    )
    above = (
        alt.Chart(alt.Data(values=totals))
        .mark_text(dy=-8, color=INK)
        .encode(x=x, y="total:Q", text=alt.Text("total:Q", format=",d"))
    )
    return _svg((column + above).properties(width=WIDTH - 70, height=190), about)


def columns_against(
    rows: Sequence[tuple[str, int]], band: tuple[float, float, str] | None, colour: str, about: str
) -> str:
    """Columns over months, before the band of what was usual."""
    alt = _altair()
    names = [name for name, _ in rows]
    most = max([count for _, count in rows] + [band[1] if band else 1]) * 1.15
    y = alt.Y("count:Q", scale=alt.Scale(domain=[0, most]),
              axis=alt.Axis(title=None, tickCount=4, domain=False, ticks=False))  # fmt: skip
    x = alt.X("x:N", sort=names, axis=alt.Axis(title=None, labelAngle=0, ticks=False, domainColor=GREY))
    data = alt.Data(values=[{"x": name, "count": count} for name, count in rows])
    layers: list[Any] = []
    # beside the columns, so that none stands before the words
    across = WIDTH - 50 - (max(map(len, band[2].split("\n"))) * LETTER + 10 if band else 0)
    if band:
        low, high, says = band
        usual = alt.Data(values=[{"low": low, "high": high, "says": says}])
        layers.append(alt.Chart(usual).mark_rect(color="#e69f00", opacity=0.22).encode(
            y=alt.Y("low:Q", scale=alt.Scale(domain=[0, most])), y2="high:Q"))  # fmt: skip
        named = alt.Chart(usual).mark_text(align="left", baseline="bottom", dx=8, lineBreak="\n", color="#8a5a00")
        layers.append(named.encode(x=alt.value(across), y=alt.Y("low:Q"), text="says:N"))
    layers.append(alt.Chart(data).mark_bar(color=colour, width=min(64, across / len(rows) * 0.6)).encode(x=x, y=y))
    layers.append(alt.Chart(data).mark_text(dy=-8, color=INK, fontWeight=600).encode(
        x=x, y="count:Q", text=alt.Text("count:Q", format=",d")))  # fmt: skip
    return _svg(alt.layer(*layers).properties(width=across, height=170), about)


def lines(rows: Sequence[Point], colours: Mapping[str, str], about: str) -> str:
    """Shares over months or days; each line is named at its end."""
    alt = _altair()
    order = list(dict.fromkeys(row.at for row in rows))
    top = min(1.0, max([row.value for row in rows] + [0.05]) * 1.2)
    base = _chart(rows).encode(
        x=alt.X("at:N", sort=order, scale=alt.Scale(type="point", padding=0.25),
                axis=alt.Axis(title=None, labelAngle=0, ticks=False, domainColor=GREY, labelPadding=8)),
        y=alt.Y("value:Q", scale=alt.Scale(domain=[0, top]), axis=_percent_axis()),
        color=_colour(colours),
    )  # fmt: skip
    drawn = base.mark_line(strokeWidth=2.5) + base.mark_point(filled=True, size=55, opacity=1)
    last = [
        vars(found[-1]) | {"named": f"{found[-1].kind} {percent(found[-1].value)}"}
        for kind in colours
        if (found := [row for row in rows if row.kind == kind])
    ]
    _set_apart(last, top)
    named = (
        alt.Chart(alt.Data(values=last))
        .mark_text(align="left", dx=10, fontWeight=600)
        .encode(x=alt.X("at:N", sort=order), y="beside:Q", text="named:N", color=_colour(colours))
    )
    room = max(len(name["named"]) for name in last) * LETTER * 1.1
    # a name begins at its point, which lies a part of a step from the edge
    across = WIDTH - 50 - room
    return _svg((drawn + named).properties(width=across + min(room, across / len(order) / 4), height=210), about)


def _set_apart(names: list[dict[str, Any]], top: float) -> None:
    """Names at the end of lines lie at least a line of text apart."""
    height, lowest = top / 210 * 17, 0.0
    for name in sorted(names, key=lambda name: name["value"]):
        name["beside"] = lowest = max(name["value"], lowest)
        lowest += height


# -- what all charts share ---------------------------------------------------------------------------------------------


def _altair() -> Any:
    """Imported late: whoever only asks for the report's path does not pay for it."""
    import altair

    return altair


def _chart(rows: Sequence[Any]) -> alt.Chart:
    alt = _altair()
    return alt.Chart(alt.Data(values=[vars(row) for row in rows]))


def _labels(width: float = LABELS) -> alt.Axis:
    return _altair().Axis(
        title=None, labelLimit=width - 10, minExtent=width, maxExtent=width, domain=False, ticks=False, labelPadding=10
    )


def _percent_axis() -> alt.Axis:
    # written as in the text, and nothing above the whole
    says = "datum.value > 1 ? '' : format(datum.value * 100, '.1~f') + '\u00a0%'"
    return _altair().Axis(title=None, labelExpr=says, tickCount=5, domain=False, ticks=False, labelPadding=6)


def _colour(colours: Mapping[str, str]) -> alt.Color:
    alt = _altair()
    return alt.Color("kind:N", scale=alt.Scale(domain=list(colours), range=list(colours.values())), legend=None)


_CONFIG: dict[str, Any] = {
    "font": "system-ui, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif",
    "background": "transparent",
    "padding": {"left": 2, "right": 8, "top": 6, "bottom": 4},
    "view": {"stroke": None},
    "axis": {
        "labelColor": INK, "titleColor": MUTED, "gridColor": LINE, "labelFontSize": 13, "titleFontSize": 12,
        "titleFontWeight": "normal", "titlePadding": 8,
    },
    "text": {"fontSize": 13},
}  # fmt: skip


def _svg(chart: alt.TopLevelMixin, about: str) -> str:
    import vl_convert

    svg = vl_convert.vegalite_to_svg(
        chart.configure(**_CONFIG).to_dict(), format_locale="nl-NL", time_format_locale="nl-NL"
    )
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
