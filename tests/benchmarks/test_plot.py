from __future__ import annotations

from xml.etree import ElementTree as ET

from benchmarks.cases import CASES
from benchmarks.plot import PANELS, draw
from benchmarks.rows import Row
from benchmarks.trial import Trial

SVG = "{http://www.w3.org/2000/svg}"


def rows(**costs: float) -> list[Row]:
    made = [Row(case, name.replace("_", " ")) for case in CASES for name in costs]
    for row in made:
        cost = costs[row.server.replace(" ", "_")]
        for noise in (0.9, 1.0, 1.1, 1.0, 1.2, 0.8):
            trial = {
                n: Trial(1, 1e-4 * cost, 2e-4 * cost, 1, 1, (1 + n) * cost * noise, 1, 1) for n in row.case.requests
            }
            row.pairs.append(trial)
    return made


def parsed(drawing: str) -> ET.Element:
    return ET.fromstring(drawing)  # noqa: S314 -- we drew it


def test_every_panel_shows_a_case_that_the_usual_run_has() -> None:
    usual = {case.name for case in CASES if case.run != "full"}
    assert {panel.case for panel in PANELS} <= usual


def test_the_cheapest_server_comes_first_and_the_gateway_stands_out() -> None:
    drawing = parsed(draw(rows(stub_alone=1, LiteLLM=9, gateway=3, floor=2), "here & now"))
    bars = drawing.findall(f"{SVG}rect")
    widths = [float(bar.get("width", "0")) for bar in bars]
    assert len(bars) == 3 * len(PANELS)
    assert all(widths[start : start + 3] == sorted(widths[start : start + 3]) for start in range(0, len(widths), 3))
    assert [bar.get("class") for bar in bars] == ["bar", "gateway", "bar"] * len(PANELS)
    names = [text.text for text in drawing.findall(f"{SVG}text") if text.text in ("floor", "gateway", "LiteLLM")]
    assert names == ["floor", "gateway", "LiteLLM"] * len(PANELS)
    assert "prefers-color-scheme: dark" in (drawing.findtext(f"{SVG}style") or "")


def test_a_server_as_quick_as_the_stub_has_no_bar_of_less_than_nothing() -> None:
    drawing = parsed(draw(rows(stub_alone=5, nginx=4, gateway=6), ""))
    assert all(float(bar.get("width", "-1")) >= 0 for bar in drawing.findall(f"{SVG}rect"))


def test_without_any_of_its_cases_there_is_no_plot() -> None:
    assert draw([row for row in rows(stub_alone=1, gateway=2) if row.case is CASES[0]], "") == ""
