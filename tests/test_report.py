import csv
import json
import random
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from gan_style.core.errors import UserError
from gan_style.report import write_report
from gan_style.report.curves import MAX_POINTS, smooth, thin, thin_extremes
from gan_style.report.images import choose_earlier, embed
from gan_style.report.svg import nice_ticks

PARTS = ("config.yaml", "metrics.csv", "scores.json", "run.json", "images")
CONFIG = """name: evening
seed: 1234
model:
  _target_: gan_style.models.cyclegan.CycleGAN
  generator: {_target_: gan_style.networks.resnet.ResnetGenerator, blocks: 6}
  lambda_cycle: 10.0
data: {_target_: gan_style.data.drawn.ScenesDataModule, image_size: 64}
trainer: {max_steps: 5000}
"""
COLUMNS = ["iteration", "train/G_gan", "train/G_cycle", "train/D_A", "lr/G", "val/A2B/psnr", "val/B2A/psnr"]


def entry(value: float, spread: float = 0.25) -> dict[str, float | None]:
    return {"value": value, "low": value - spread, "high": value + spread, "floor": None}


def pair(psnr: float, ssim: float) -> dict[str, Any]:
    return {"psnr": entry(psnr), "ssim": entry(ssim, 0.011)}


SCORES: dict[str, Any] = {
    "protocol": {"checkpoint rule": "the weights at this iteration", "iteration": 3000, "N": 32},
    "scores": {"A2B": pair(19.31, 0.701), "B2A": pair(15.02, 0.523)},
    "baselines": {
        "input": {"A2B": pair(12.44, 0.52), "B2A": pair(12.45, 0.529)},
        "colour transfer": {"A2B": pair(14.13, 0.551), "B2A": pair(15.07, 0.4)},
    },
}


class Page(HTMLParser):
    """The tags, attributes and text of a report."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str, str]] = []
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]

    def handle_data(self, data: str) -> None:
        self.text += data


def table(html: str) -> list[list[str]]:
    """The lines of the score table as text."""
    found = re.search(r'<table class="scores">.*?</table>', html, re.DOTALL)
    text = found.group(0).replace("\N{MINUS SIGN}", "-") if found else ""
    lines = [re.findall(r"<t[dh].*?</t[dh]>", line) for line in re.findall(r"<tr.*?</tr>", text, re.DOTALL)]
    return [[" ".join(re.sub("<.*?>", "", cell).split()) for cell in line] for line in lines]


def write_metrics(path: Path, rows: int, columns: list[str] | None = None) -> None:
    columns = columns or COLUMNS
    draw = random.Random(0)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        for row in range(1, rows + 1):
            validated = row % max(1, rows // 10) == 0
            kept = [validated or not name.startswith("val/") for name in columns[1:]]
            writer.writerow([row * 10, *(f"{draw.random():.6f}" if keep else "" for keep in kept)])


def write_grid(path: Path, size: tuple[int, int] = (60, 40), seed: int = 0, noise: bool = False) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    shape = (size[1], size[0], 3)
    pixels = np.random.default_rng(seed).integers(0, 256, shape if noise else (1, 1, 3), dtype=np.uint8)
    Image.fromarray(np.broadcast_to(pixels, shape).copy()).save(path)


@pytest.fixture
def run(tmp_path: Path) -> Path:
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "config.yaml").write_text(CONFIG, encoding="utf-8")
    write_metrics(folder / "metrics.csv", 300)
    (folder / "scores.json").write_text(json.dumps(SCORES), encoding="utf-8")
    record = {"torch": "2.8.0", "iterations": 3000, "seconds": 312.1, "parameters": {"G_AB": 1234567}}
    (folder / "run.json").write_text(json.dumps({**record, "stopped": "finished"}), encoding="utf-8")
    for step in range(1, 13):
        write_grid(folder / "images" / f"iteration-{step * 250:06d}.png", seed=step)
    return folder


def report(folder: Path) -> str:
    return write_report(folder).read_text(encoding="utf-8")


def test_same_folder_same_bytes(run: Path, tmp_path: Path) -> None:
    first = write_report(run)
    content = first.read_bytes()
    assert first == run / "report.html"
    assert write_report(run).read_bytes() == content
    copy = tmp_path / "elsewhere" / "run"
    shutil.copytree(run, copy)
    (copy / "report.html").unlink()
    assert write_report(copy).read_bytes() == content
    assert [path.name for path in run.iterdir() if path.name.endswith(".tmp")] == []


def test_nothing_is_loaded_from_outside(run: Path) -> None:
    html = report(run)
    page = Page(html)
    assert not re.search(r"https?:|@import|url\(", html)
    assert not {"link", "iframe", "object", "base"} & set(page.tags)
    sources = [value for _, name, value in page.attributes if name in ("src", "srcset", "href", "data")]
    assert len([value for value in sources if value.startswith("data:image/")]) == 9
    assert all(value.startswith(("data:image/", "#")) for value in sources)


def test_what_comes_from_files_is_escaped(run: Path) -> None:
    hostile = '</pre><script>alert(1)</script>" onfocus="x\' &'
    (run / "config.yaml").write_text(json.dumps({"name": hostile, "model": {"_target_": hostile}}))
    write_metrics(run / "metrics.csv", 40, [*COLUMNS, hostile, f"train/{hostile}", f"val/{hostile}/psnr"])
    scores = {"scores": {hostile: {hostile: entry(1.0)}}, "baselines": {hostile: {hostile: {hostile: 0.5}}}}
    (run / "scores.json").write_text(json.dumps({**scores, "protocol": {hostile: hostile}}))
    (run / "run.json").write_text(json.dumps({hostile: hostile, "stopped": hostile}))
    html = report(run)
    page = Page(html)
    assert page.tags.count("script") == 1
    assert "<script>alert" not in html
    assert page.text.count(hostile) >= 10
    assert not [name for _, name, _ in page.attributes if name.startswith("on")]


@pytest.mark.parametrize("missing", PARTS)
def test_a_missing_part_is_named(run: Path, missing: str) -> None:
    assert 'class="missing"' not in report(run)
    path = run / missing
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    assert report(run).count('class="missing"') == 1


@pytest.mark.parametrize("only", PARTS)
def test_one_part_is_enough(run: Path, only: str) -> None:
    for name in PARTS:
        if name != only:
            shutil.rmtree(run / name) if (run / name).is_dir() else (run / name).unlink()
    assert report(run).count('class="missing"') == len(PARTS) - 1


@pytest.mark.parametrize("broken", ["config.yaml", "scores.json", "run.json"])
def test_a_broken_file_is_named(run: Path, broken: str) -> None:
    (run / broken).write_text("{a: [", encoding="utf-8")
    assert f"{broken} cannot be read" in report(run)


def test_a_broken_newest_picture_gives_way_to_the_one_before(run: Path) -> None:
    (run / "images" / "iteration-003000.png").write_bytes(b"\x89PNG\r\n\x1a\n and no more")
    html = report(run)
    assert re.search(r'<img id="grid"[^>]*data-iteration="2750"', html)
    assert "Could not be read: iteration-003000.png." in html


def test_a_folder_without_a_run_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("nothing")
    with pytest.raises(UserError, match="not a run folder"):
        write_report(tmp_path)
    with pytest.raises(UserError, match="there is no run folder"):
        write_report(tmp_path / "absent")
    assert not (tmp_path / "report.html").exists()


def test_the_table_has_the_numbers_of_the_file(run: Path) -> None:
    html = report(run)
    head, *rows = table(html)
    assert [cell.split()[0] for cell in head] == ["Direction", "This", "Input", "Colour", "Gain"]
    assert rows == [
        ["A2B PSNR (dB)", "19.31 [19.06, 19.56]", "12.44 [12.19, 12.69]", "14.13 [13.88, 14.38]", "+5.18"],
        ["A2B SSIM", "0.701 [0.690, 0.712]", "0.520 [0.509, 0.531]", "0.551 [0.540, 0.562]", "+0.150"],
        ["B2A PSNR (dB)", "15.02 [14.77, 15.27]", "12.45 [12.20, 12.70]", "15.07 [14.82, 15.32]", "-0.05"],
        ["B2A SSIM", "0.523 [0.512, 0.534]", "0.529 [0.518, 0.540]", "0.400 [0.389, 0.411]", "-0.006"],
    ]
    # Bold says that the intervals do not overlap.
    gains = re.findall(r'<span class="gain (\w+)">(<b>)?', html)
    assert gains == [("better", "<b>"), ("better", "<b>"), ("worse", ""), ("worse", "")]


def test_lower_is_better_where_it_is(run: Path) -> None:
    own, other = {"fid": 40.0, "own": 3.0}, {"fid": 55.0, "own": 1.0}
    scores = {"scores": {"A2B": own}, "baselines": {"input": {"A2B": other}}}
    (run / "scores.json").write_text(json.dumps(scores))
    first, second = table(report(run))[1:]
    assert first == ["A2B FID", "40.00", "55.00", "+15.00"]
    assert second == ["A2B own", "3.000", "1.000", "\N{EN DASH}"]


def test_distances_between_sets_stand_beside_floor_and_input(run: Path) -> None:
    entries = {"kid_random": {"value": 0.03, "low": 0.02, "high": 0.04, "floor": 0.001, "ceiling": 0.08}, "odd": 2.0}
    (run / "scores.json").write_text(json.dumps({"protocol": {"N": {"A2B": 1200}}, "scores": {"A2B": entries}}))
    write_metrics(run / "metrics.csv", 20, ["iteration", "val/A2B/kid_random", "val/B2A/kid_random", "val/kid_random"])
    html = report(run)
    head, *rows = table(html)
    assert [cell.split()[0] for cell in head] == ["Direction", "This", "Input", "Floor", "Gain"]
    assert rows == [
        ["A2B KID (random)", "0.0300 [0.0200, 0.0400]", "0.0800", "0.0010", "+0.0500"],
        ["A2B odd", "2.000", *["\N{EN DASH}"] * 3],
    ]
    assert "<dd>A2B 1,200</dd>" in html
    chart = html[html.index("Validation KID (random)") : html.index("</svg></figure>")]
    assert "input, A2B <b>0.080</b>" in chart
    assert "floor, A2B <b>0.001</b>" in chart


def test_best_and_last_stand_side_by_side_with_the_rule(run: Path) -> None:
    best = {"rule": "highest val/A2B/psnr", "score": 0.9, "iteration": 1500}
    (run / "run.json").write_text(json.dumps({"iterations": 3000, "best": best, "last": {"iteration": 2950}}))
    html = report(run)
    assert "Rule of best.ckpt: highest val/A2B/psnr." in html
    with (run / "metrics.csv").open(newline="") as file:
        value = {row["iteration"]: row["val/A2B/psnr"] for row in csv.DictReader(file)}
    head, iteration, first, _ = table(html[html.index("<h3>Checkpoints") :])
    assert (head, iteration) == (["", "best.ckpt", "last.ckpt"], ["Iteration", "1,500", "2,950"])
    # validated every 300 iterations
    assert first == ["A2B PSNR (dB)", f"{float(value['1500']):.2f}", f"{float(value['2700']):.2f}"]


def test_cost_data_and_versions(run: Path) -> None:
    assert "Licence" not in report(run)
    data = {"name": "monet2photo", "about": "paintings", "licence": "for research", "citation": "Zhu et al. 2017"}
    record = {"seconds": 7260, "from_iteration": 100, "peak_memory_gb": 2.25, "images_per_s": 3.5, "data": data}
    (run / "run.json").write_text(json.dumps({**record, "torch": "2.15", "device": "CPU"}))
    rows = re.findall(r'<th scope="row">([^<]*)</th><td>([^<]*)</td>', report(run))
    assert rows == [
        ("Device", "CPU"),
        ("Time", "2 h 1 min, since iteration 100"),
        ("Speed", "3.5 images per second"),
        ("Peak memory", "2.2 GB"),
        ("Set", "monet2photo"),
        ("Pictures", "paintings"),
        ("Licence", "for research"),
        ("Citation", "Zhu et al. 2017"),
        ("PyTorch", "2.15"),
    ]


def test_pictures_of_unknown_origin_have_no_licence_that_is_known(run: Path) -> None:
    (run / "run.json").write_text(json.dumps({"device": "CPU", "data": None}))
    rows = re.findall(r'<th scope="row">([^<]*)</th><td>([^<]*)</td>', report(run))
    assert rows == [("Device", "CPU"), ("Licence", "not recorded: the pictures are of no named set")]


def test_what_training_scores_by_default_is_explained(run: Path) -> None:
    names = ("psnr", "ssim", "swd", "kid_random0", "cycle_error", "cycle_honesty")
    (run / "scores.json").write_text(json.dumps({"scores": {"A2B": dict.fromkeys(names, 0.5)}}))
    assert "Not a score this report knows" not in report(run)


def test_the_headline_is_made_of_the_data(run: Path) -> None:
    expected = (
        "CycleGAN on scenes, 3,000 iterations: A2B 19.3 dB against 14.1 dB for the best baseline "
        "(colour transfer); B2A 15.0 dB against 15.1 dB."
    )
    assert f'<p class="headline">{expected}</p>' in report(run)
    (run / "scores.json").unlink()
    assert "CycleGAN on scenes, 3,000 iterations; not evaluated yet." in report(run)


def test_a_run_that_stopped_early_says_so(run: Path) -> None:
    assert "did not finish" not in report(run)
    (run / "run.json").write_text(json.dumps({"stopped": "failed: a loss is not finite", "iterations": 40}))
    html = report(run)
    assert "This run did not finish: failed: a loss is not finite." in html
    assert "40 of 5,000" in html


def test_columns_are_grouped_into_charts(run: Path) -> None:
    html = report(run)
    titles = re.findall(r'<h3 class="chart-title">(.*?)</h3>', html)
    assert titles == ["Validation PSNR (dB)", "Generator losses", "Discriminator losses", "Learning rate"]
    validation = html[html.index("Validation PSNR") : html.index("Generator losses")]
    assert validation.count('<path class="level c') == 8  # two baselines, two directions, chart and legend
    assert "colour transfer, B2A <b>15.07</b>" in validation


def test_long_metrics_make_a_light_file(run: Path) -> None:
    write_metrics(run / "metrics.csv", 20_000)
    path = write_report(run)
    assert path.stat().st_size < 3_000_000
    for points in re.findall(r' d="M([^"]*)"', path.read_text(encoding="utf-8")):
        assert points.count("L") < 400


def test_odd_metrics_do_not_stop_a_report(run: Path) -> None:
    text = "iteration,train/G_gan,train/G_cycle\n10,0.5,nan\n20,inf,nan\n10,0.75,\nx,1,1\n30\n40,tex"
    (run / "metrics.csv").write_text(text, encoding="utf-8")
    html = report(run)
    assert "G_gan: 1 of the values are not finite" in html
    assert "G_cycle: 2 of the values are not finite" in html
    # The repeated iteration of a resumed run counts with its later value.
    assert "G_gan <b>0.750</b>" in html


def test_large_pictures_stay_within_the_budget(run: Path) -> None:
    for path in sorted((run / "images").iterdir())[3:]:
        path.unlink()
    for path in (run / "images").iterdir():
        write_grid(path, (900, 900), noise=True)
        assert path.stat().st_size > 2_000_000
    html = report(run)
    assert "data:image/webp" in html
    assert len(html) < 3_000_000
    small = embed(1, run / "images" / "iteration-000250.png", large=False)
    assert small is not None
    assert len(small.uri) < 410_000


def test_earlier_pictures_are_even_and_start_at_the_first() -> None:
    assert choose_earlier(0) == choose_earlier(1) == []
    assert choose_earlier(4) == [0, 1, 2]
    assert choose_earlier(17) == [0, 2, 4, 6, 8, 10, 12, 14]


def test_thinning_keeps_ends_and_spikes() -> None:
    x = [float(index) for index in range(10_000)]
    y = [0.0] * 10_000
    y[4321] = 9.0
    points = thin(x, y)
    assert len(points) == MAX_POINTS
    assert (points[0][0], points[-1][0]) == (0.0, 9999.0)
    spikes = thin_extremes(x, y)
    assert (4321.0, 9.0) in spikes
    assert len(spikes) <= MAX_POINTS
    assert [point[0] for point in spikes] == sorted({point[0] for point in spikes})


def test_smoothing_follows_a_constant_and_damps_a_step() -> None:
    assert smooth([2.0] * 50, 10) == pytest.approx([2.0] * 50)
    step = smooth([0.0] * 20 + [1.0] * 5, 10)
    assert 0.1 < step[20] < 0.25
    assert step[20] < step[24] < 1.0


def test_ticks_are_round_and_inside() -> None:
    assert nice_ticks(0, 3000, 4) == [0, 1000, 2000, 3000]
    assert nice_ticks(0.31, 0.72, 4) == pytest.approx([0.4, 0.5, 0.6, 0.7])
