"""Plots are SVG that any reader can parse, and show the values they are given."""

from __future__ import annotations

import base64
import math
import re
from datetime import date, timedelta
from itertools import pairwise
from xml.etree import ElementTree as Xml

import numpy as np
import pytest

from automation import plots

DAYS = [date(2013, 3, 1) + timedelta(days=number) for number in range(5)]


def drawn(svg: str, tag: str) -> list[dict[str, str]]:
    return [dict(each.attrib) for each in Xml.fromstring(svg).iter(f"{{http://www.w3.org/2000/svg}}{tag}")]  # noqa: S314


def texts(svg: str) -> list[str]:
    return [each.text or "" for each in Xml.fromstring(svg).iter("{http://www.w3.org/2000/svg}text")]  # noqa: S314


def points(svg: str) -> list[list[tuple[float, float]]]:
    return [
        [tuple(map(float, point.split(","))) for point in line["points"].split()]  # pyrefly: ignore[bad-return]
        for line in drawn(svg, "polyline")
    ]


def test_bars_are_as_long_as_their_values_and_negative_ones_go_the_other_way() -> None:
    svg = plots.bars({"a": 10.0, "b": -5.0, "c": 0.0}, "Title", "dollars")
    _, *found = drawn(svg, "rect")
    lengths = [float(bar["width"]) for bar in found]
    assert lengths[0] == pytest.approx(2 * lengths[1], rel=1e-2)
    assert lengths[2] == 0
    zero = float(found[0]["x"])
    assert float(found[1]["x"]) + lengths[1] == pytest.approx(zero, abs=0.2)
    assert {"a", "b", "c", "10", "-5", "0", "Title", "dollars"} <= set(texts(svg))


def test_lines_rise_with_their_values_and_stop_at_a_gap() -> None:
    svg = plots.lines(DAYS, {"up": [0, 1, 2, 3, 4], "gap": [4, math.nan, 2, math.inf, 0]}, "Title", "rows")
    up, *parts = points(svg)
    assert [y for _, y in up] == sorted((y for _, y in up), reverse=True)
    steps = np.diff([x for x, _ in up])
    assert steps == pytest.approx([steps[0]] * 4, abs=0.2)
    assert [len(part) for part in parts] == [1, 1, 1]
    # The same value on the same day is drawn at the same place.
    assert parts[1][0] == up[2]
    assert {"up", "gap", "2013-03-01", "2013-03-05", "Title, rows"} <= set(texts(svg))


def test_a_day_far_off_is_drawn_off_the_place_where_it_usually_lies() -> None:
    shown = plots.History("rows", DAYS[:-1], [10, 11, 10, 11], DAYS[-1], 30, (9, 12))
    svg = plots.histories([shown, shown])
    dots = drawn(svg, "circle")
    bands = [path["d"] for path in drawn(svg, "path") if path.get("stroke-width") == "7"]
    assert len(dots) == len(bands) == 2
    low, high = (float(part) for part in bands[0].split(",")[1].split("V"))
    assert float(dots[0]["cy"]) < high < low
    assert float(dots[1]["cy"]) == pytest.approx(float(dots[0]["cy"]) + 150)


def test_reliability_of_what_is_right_is_the_diagonal_and_a_lift_of_it_lies_above() -> None:
    random = np.random.default_rng(3)
    probability = random.uniform(0, 1, 20_000)
    label = (random.uniform(0, 1, 20_000) < probability).astype(int)
    diagonal, found = points(plots.reliability(probability, label, "Reliability"))
    (x0, y0), (x1, y1) = diagonal
    for x, y in found:
        assert y == pytest.approx(y0 + (x - x0) * (y1 - y0) / (x1 - x0), abs=6)
    curve, straight = points(plots.lift(probability, label, "Lift"))[1], points(plots.lift(probability, label, "L"))[0]
    assert curve[0] == straight[0]
    assert curve[-1] == straight[-1]
    middle = curve[len(curve) // 2]
    assert middle[1] < (straight[0][1] + straight[1][1]) / 2 - 20


def test_names_are_data_and_not_markup_and_equal_values_give_equal_bytes() -> None:
    name = '<script>alert("x")</script> & more'
    assert name in texts(plots.bars({name: 1.0}, name, name))
    one = plots.lines(DAYS[:1], {"x": [3.0]}, "one", "rows")
    assert one == plots.lines(DAYS[:1], {"x": [3.0]}, "one", "rows")
    assert points(plots.lines([], {"x": []}, "none", "rows")) == []


def test_a_picture_is_markdown_that_holds_the_plot() -> None:
    svg = plots.bars({"a": 1.0}, "Title", "rows")
    text = plots.image(svg).md_str or ""
    assert text.startswith("![plot](data:image/svg+xml;base64,")
    assert base64.b64decode(text.partition("base64,")[2].rstrip(")")).decode() == svg


def test_whiskers_span_their_intervals_and_those_beyond_the_margin_are_orange() -> None:
    shown = [plots.Whisker("bad", 2.0, 3.0, 4.0), plots.Whisker("open", -math.inf, 0.0, math.inf)]
    svg = plots.whiskers(shown, "Slices", "worse", 1.0)
    lines = [each for each in drawn(svg, "path") if each.get("stroke-width") == "2"]
    assert [each["stroke"] for each in lines] == [plots.ORANGE, plots.BLUE]
    bad, unbounded = (
        tuple(map(float, re.fullmatch(r"M([\d.]+),\d+H([\d.]+)", each["d"]).groups()))  # pyrefly: ignore
        for each in lines
    )
    # From zero to the greatest end that is known: what is unbounded goes over all of it.
    assert bad[0] - unbounded[0] == pytest.approx(bad[1] - bad[0], abs=0.2)
    assert bad[1] == unbounded[1]
    assert {"bad", "open", "Slices", "worse"} <= set(texts(svg))


def test_long_names_of_series_have_room_beside_each_other() -> None:
    names = [f"{'long_' * 5}name_{number}" for number in range(5)]
    svg = plots.lines(DAYS, {name: [1.0] * 5 for name in names}, "Title", "rows")
    named = [each for each in drawn(svg, "text") if each.get("text-anchor") == "start"]
    at = sorted((float(each["y"]), float(each["x"])) for each in named)[-5:]
    for (y, x), (other_y, other_x) in pairwise(at):
        assert other_y > y or other_x - x > plots.LETTER * len(names[0])
    assert float(drawn(svg, "svg")[0]["height"]) > at[-1][0]
    few = plots.lines(DAYS, {"a": [1.0] * 5, "b": [2.0] * 5}, "Title", "rows")
    assert 'height="240"' in few
