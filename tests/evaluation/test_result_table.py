"""Tables and the plot of results side by side, and results that were written before."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from gan_style.cli.evaluate import write_json
from gan_style.core.errors import UserError
from gan_style.evaluation.distances import read_results, refuse_other_protocol
from gan_style.evaluation.plot import plot
from gan_style.evaluation.result_table import latex, markdown, rows, terminal


def score(value: float, **more: float | None) -> dict[str, float | None]:
    return {"value": value, "low": value - 1, "high": value + 1, "floor": None, **more}


def result(kid: float, psnr: float, **stamp: Any) -> dict[str, Any]:
    scores = {"kid_x": score(kid, floor=0.5, ceiling=9.0), "psnr": score(psnr, ceiling=12.0)}
    return {"protocol": {"extractor": "x", "N_real": {"A2B": 5}, **stamp}, "scores": {"A2B": scores}}


BOTH = {"a|b": result(3.0, 20.0), "c_&d": result(2.0, 18.0)}


def test_the_best_of_each_row_is_bold() -> None:
    lines = markdown(BOTH).splitlines()
    assert lines[0] == "| A2B | better | a\\|b | c_&amp;d | floor | input |"
    assert lines[2] == "| kid_x | lower | 3 (2 to 4) | **2** (1 to 3) | 0.5 | 9 |"
    assert lines[3] == "| psnr | higher | **20** (19 to 21) | 18 (17 to 19) |  | 12 |"
    assert "5 real" in lines[-1].replace("A2B: ", "")
    text = latex(BOTH)
    assert r"A2B & a|b & c\_\&d & floor & input \\" in text
    assert r"kid\_x $\downarrow$ & 3 {\scriptsize [2, 4]} & \textbf{2} {\scriptsize [1, 3]} & 0.5 & 9 \\" in text
    assert "**" not in markdown({"one": BOTH["a|b"]}), "there is nothing to be better than"
    assert rows({"a": result(1, 1), "b": result(1, 2)}, "A2B")[0].best() == set()


def test_a_score_that_one_result_lacks_has_an_empty_place() -> None:
    other = result(2.0, 18.0)
    del other["scores"]["A2B"]["psnr"]
    assert "| **" not in markdown({"a": result(3.0, 20.0), "b": other}).splitlines()[3]
    assert markdown({"a": result(3.0, 20.0), "b": other}).splitlines()[3].count("|") == 7
    assert "psnr" in terminal({"b": other, "a": result(3.0, 20.0)}).split("\na\n")[1]
    plot({"a": result(3.0, 20.0), "b": other})


def test_the_plot_is_svg_with_each_value_in_its_place() -> None:
    root = ElementTree.fromstring(plot(BOTH))
    panels = [part for part in root.iter("{http://www.w3.org/2000/svg}g") if "translate" in part.get("transform", "")]
    assert len(panels) == 3, "the legend and two scores"
    circles = [float(c.get("cx", "nan")) for c in panels[1].iter("{http://www.w3.org/2000/svg}circle")]
    ends = [p.get("d", "") for p in panels[1].iter("{http://www.w3.org/2000/svg}path") if p.get("stroke-dasharray")]
    floor, ceiling = (float(d[1:].split(" ")[0]) for d in ends)
    scale = (ceiling - floor) / (9.0 - 0.5)
    assert circles == pytest.approx([floor + 2.5 * scale, floor + 1.5 * scale], abs=0.2)


def test_results_come_back_from_their_files(tmp_path: Path) -> None:
    write_json(tmp_path / "one.json", {"a": BOTH["a|b"]})
    write_json(tmp_path / "two.json", BOTH)
    assert read_results(tmp_path / "one.json") == {str(tmp_path / "one.json"): BOTH["a|b"]}
    assert read_results(tmp_path / "two.json") == BOTH
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one.json", "two.json"]


@pytest.mark.parametrize(
    "content",
    ["{", "[]", "{}", '{"results": {}}', '{"protocol": {}, "scores": {}}', "no json", '{"results": {"a": 1}}'],
)
def test_a_file_of_something_else_is_said(tmp_path: Path, content: str) -> None:
    (tmp_path / "x.json").write_text(content)
    with pytest.raises(UserError, match="file of scores"):
        read_results(tmp_path / "x.json")
    broken = {"protocol": {}, "scores": {"A2B": {"kid": {"value": "high"}}}}
    (tmp_path / "x.json").write_text(json.dumps(broken))
    with pytest.raises(UserError, match="not a file of scores"):
        read_results(tmp_path / "x.json")
    with pytest.raises(UserError, match="cannot be read as a file of scores"):
        read_results(tmp_path / "nothing.json")


@pytest.mark.parametrize(
    ("stamp", "refused"),
    [
        ({"extractor": "y"}, True),
        ({"N_real": {"A2B": 6}}, True),
        ({"file_format": ".jpg"}, True),
        ({"N_real": {"A2B": 5, "B2A": 9}}, False),  # another direction, too
        ({"checkpoint": {"iteration": 3}}, False),
        ({"data": "elsewhere"}, False),
    ],
)
def test_only_what_was_scored_may_differ(stamp: dict[str, Any], refused: bool) -> None:
    both = {"a": result(1, 1), "b": result(1, 1, **stamp)}
    if refused:
        with pytest.raises(UserError, match=f"different protocols .{next(iter(stamp))}"):
            refuse_other_protocol(both)
    else:
        refuse_other_protocol(both)
    refuse_other_protocol(both, force=True)
    for table in (markdown(both), latex(both)):
        assert ("a and b are of different protocols" in table) == refused, "a forced table says what it is"
