"""`gan-style evaluate` and `gan-style compare`: scores with their interval, floor, ceiling and protocol."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gan_style.cli.main import main
from gan_style.core.errors import UserError
from gan_style.data.saving import save_image
from gan_style.data.scenes import draw_scene
from gan_style.evaluation.distances import refuse_other_protocol

QUICK = ("--size", "32", "--draws", "2")


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root, first = tmp_path_factory.mktemp("set"), 0
    for part, count in (("train", 24), ("test", 12)):
        for domain in "AB":
            for i in range(first, first + count):
                save_image(draw_scene(0, i, 32, domain), root / f"{part}{domain}" / f"{i}.png")
            first += count
    return root


def run(*words: Any) -> int:
    return main([str(word) for word in words])


def scores_of(path: Path, direction: str = "A2B") -> dict[str, dict[str, float]]:
    found: dict[str, dict[str, float]] = json.loads(path.read_text())["scores"][direction]
    return found


def test_the_same_domain_is_near_its_floor_and_the_other_far_from_it(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("--train", root / "trainB", "--source", root / "testA", "--size", "32", "--draws", "10")
    assert run("compare", root / "testB", root / "trainB", *words, "--out", tmp_path / "same.json") == 0
    assert "mostly measures their number (fewer than 2048)" in capsys.readouterr().out
    assert run("compare", root / "testB", root / "testA", *words, "--out", tmp_path / "other.json") == 0
    same, other = (scores_of(tmp_path / f"{name}.json") for name in ("same", "other"))
    assert not any(name.startswith("fid") or name == "kid" for name in other), "only with the weights of 2015"
    for name in ("kid_random0", "frechet_random0", "cmmd_random0", "swd"):
        assert set(other[name]) == {"value", "low", "high", "floor", "ceiling"}
        assert other[name]["low"] < other[name]["value"] < other[name]["high"], "one draw would be no interval"
        assert other[name]["value"] == pytest.approx(other[name]["ceiling"], rel=1e-6), "what was given is the input"
    for name in ("kid_random0", "swd"):
        assert same[name]["value"] < 0.7 * other[name]["value"]
    assert same["coverage_random0"]["value"] > other["coverage_random0"]["value"]
    assert other["edge_agreement"]["value"] == pytest.approx(1.0)


def test_a_result_says_how_it_was_taken(root: Path, tmp_path: Path) -> None:
    out = tmp_path / "deep" / "result.json"
    assert run("compare", root / "testB", root / "testA", *QUICK, "--out", out) == 0
    protocol = json.loads(out.read_text())["protocol"]
    assert protocol["extractor"].startswith("random")
    assert protocol["sha256"]
    assert (protocol["N_real"], protocol["N_fake"], protocol["picture_size"]) == (12, 12, 32)
    assert protocol["file_format"] == "lossless, 8 bits"
    first = out.read_text()
    assert run("compare", root / "testB", root / "testA", *QUICK, "--out", out) == 0
    assert out.read_text() == first, "the same draws"


def test_checkpoints_are_scored_in_both_directions(
    root: Path, tmp_path: Path, run: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("data=folders", f"data.root={root}", "data.image_size=32", "data.load_size=32", "trainer.max_steps=1")
    paths = [run(name, *words, f"seed={i}") / "checkpoints" / "last.ckpt" for i, name in enumerate("ab")]
    out = tmp_path / "result.json"
    one = ["evaluate", str(paths[0]), "--data", str(root), "--limit", "8", "--draws", "2", "--out", str(out)]
    assert main(one) == 0
    result = json.loads(out.read_text())
    assert set(result["scores"]) == {"A2B", "B2A"}
    assert result["protocol"]["checkpoint"]["iteration"] == 1
    assert result["scores"]["A2B"]["swd"]["ceiling"] > result["scores"]["A2B"]["swd"]["floor"]
    assert main([*one, "--against", str(paths[1])]) == 0
    assert set(json.loads(out.read_text())["results"]) == {str(path) for path in paths}
    assert str(paths[1]) in capsys.readouterr().out


def test_results_of_files_stand_beside_new_ones(root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    compare = ("compare", root / "testB", root / "testA", *QUICK)
    assert run(*compare, "--out", tmp_path / "before.json") == 0
    assert run(*compare, "--against", tmp_path / "before.json", "--out", tmp_path / "both.json") == 0
    both = json.loads((tmp_path / "both.json").read_text())["results"]
    assert list(both) == [str(root / "testA"), str(tmp_path / "before.json")]
    assert both[str(root / "testA")]["scores"] == both[str(tmp_path / "before.json")]["scores"]
    assert run(*compare, "--against", tmp_path / "both.json", "--out", tmp_path / "three.json") == 0
    three = list(json.loads((tmp_path / "three.json").read_text())["results"])
    assert three == [str(root / "testA"), f"{tmp_path / 'both.json'}: {root / 'testA'}", str(tmp_path / "before.json")]
    other = ("compare", root / "testB", root / "testA", "--size", "40", "--draws", "2")
    assert run(*other, "--against", tmp_path / "before.json") == 2
    assert "different protocols (picture_size: 40 and 32)" in capsys.readouterr().err
    assert run(*other, "--against", tmp_path / "before.json", "--force") == 0
    (tmp_path / "before.json").write_text('{"protocol": {}}')
    assert run(*compare, "--against", tmp_path / "before.json") == 2
    assert "is not a file of scores" in capsys.readouterr().err


@pytest.mark.slow
def test_results_of_other_protocols_are_not_put_side_by_side(
    root: Path, run: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    paths = []
    for size in (32, 36):
        words = ("data=folders", f"data.root={root}", f"data.image_size={size}", "data.load_size=36")
        paths.append(str(run(f"size{size}", *words, "trainer.max_steps=1") / "checkpoints" / "last.ckpt"))
    words = ["evaluate", paths[0], "--data", str(root), "--draws", "2", "--against", paths[1]]
    assert main(words) == 2
    capsys.readouterr()
    assert main([*words, "--force"]) == 0
    assert f"warning: {paths[0]} and {paths[1]} are of different protocols" in capsys.readouterr().out


def result(**protocol: Any) -> dict[str, Any]:
    row = {"value": 1.0, "low": 0.0, "high": 2.0}
    directions = protocol.get("real", {"A2B": None})
    return {"protocol": protocol, "scores": {direction: {"swd": row} for direction in directions}}


def test_results_that_share_nothing_with_the_first_are_compared_too() -> None:
    both = [result(real={"A2B": "x", "B2A": other}) for other in ("y", "z")]
    names = {"one way": result(real={"A2B": "x"}), "first": both[0], "second": both[1]}
    with pytest.raises(UserError, match="first and second are of different protocols"):
        refuse_other_protocol(names)
    refuse_other_protocol(names, force=True)
    refuse_other_protocol(names | {"second": both[0]})
    with pytest.raises(UserError, match=r"real: .* and None"):
        refuse_other_protocol({"first": both[0], "without a hash": result()})


def test_numbers_of_one_direction_are_those_of_that_direction() -> None:
    """As compare writes them, beside what evaluate does."""
    two = result(real={"A2B": "x", "B2A": "y"}, N_fake={"A2B": 12, "B2A": 9})
    refuse_other_protocol({"folder": result(real={"A2B": "x"}, N_fake=12), "checkpoint": two})
    with pytest.raises(UserError, match=r"N_fake: \{'A2B': 9\} and \{'A2B': 12\}"):
        refuse_other_protocol({"folder": result(real={"A2B": "x"}, N_fake=9), "checkpoint": two})


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("compare", "testB", "nowhere"), "does not exist"),
        (("compare", "testB", "testA", "--out", "x.txt"), "should end in .json"),
        (("compare", "testB", "testA", "--extractor", "squeezent"), "did you mean squeezenet?"),
        (("compare", "testB", "testA", "--extractor", "squeezenet", "--weights", "no.pth"), "no.pth"),
        (("compare", "testB", "testA", "--extractor", "torchvison:resnet18"), "did you mean torchvision:MODEL?"),
        (("compare", "testB", "testA", "--extractor", "torchvision:resnet18"), "add --weights FILE"),
        (("compare", "testB", "testA", "--extractor", "vgg", "--weights", "testA/48.png"), "is not weights of"),
        (("compare", "testB", "testA", "--dino", "no.pth"), "there is no file no.pth with weights of a DINO network"),
        (("compare", "testB", "testA", "--vgg", "random"), "give --vgg FILE"),
        (("compare", "testB", "testA", "--size", "0"), "--size=0 is not valid"),
        (("compare", "testB", "testA", "--device", "gpu"), "device=gpu cannot be used"),
        (("compare", "testB", "testA", "--draws", "-1"), "--draws=-1 is not valid"),
        (("compare", "testB", "testA", "--against", "no.json"), "cannot be read as a file of scores"),
        (("compare", "testB", "testA", "--against", "last.ckpt"), "is no file of scores"),
        (("evaluate", "no.ckpt", "--data", ".", "--limit", "0"), "--limit=0 is not valid"),
        (("evaluate", "no.ckpt", "--data", "testA"), "testA holds"),
        (("evaluate", "no.ckpt", "--data", "."), "there is no checkpoint"),
        (("evaluate", "no.ckpt", "--data", "nowhere"), "there is no folder nowhere"),
    ],
)
def test_mistakes_are_one_line(
    root: Path,
    words: tuple[str, ...],
    sentence: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(root)
    assert main([*words]) == 2
    said = capsys.readouterr().err.strip()
    assert sentence in said
    assert len(said.splitlines()) == 1


def test_too_few_pictures_for_neighbours_are_scored_without(root: Path, tmp_path: Path) -> None:
    for i in range(4):
        noise = np.random.default_rng(i).integers(0, 256, (32, 32, 3), np.uint8)
        save_image(noise, tmp_path / "few" / f"{i}.png")
    out = tmp_path / "few.json"
    assert run("compare", root / "testB", tmp_path / "few", *QUICK, "--out", out) == 0
    assert not any(name.startswith("precision") for name in scores_of(out))
