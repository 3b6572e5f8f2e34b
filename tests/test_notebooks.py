"""The notebooks run, and what they show is a picture, a table or a bar."""

from __future__ import annotations

import io
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import gan_style
from gan_style.core.errors import UserError
from gan_style.evaluation.scoring import Results
from gan_style.inference.before_after import GAP_PIXELS, BeforeAfter
from gan_style.training.from_python import TrainingResult
from tests.small_models import saved
from tests.test_report import SCORES
from tests.test_report_comparison import make

ROOT = Path(__file__).parents[1]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_kept_without_its_output(path: Path) -> None:
    nbformat = pytest.importorskip("nbformat")
    notebook = nbformat.read(path, 4)
    nbformat.validate(notebook)
    for cell in notebook.cells:
        assert not cell.get("outputs")
        if cell.cell_type == "code":
            compile(cell.source, path.name, "exec")


@pytest.mark.long
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs_and_shows_its_results(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nbformat, nbclient = pytest.importorskip("nbformat"), pytest.importorskip("nbclient")
    pytest.importorskip("ipykernel")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH")))))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    notebook = nbformat.read(path, 4)
    for cell in notebook.cells:
        cell.source = cell.source.replace("trainer.max_steps=300", "trainer.max_steps=6").replace(
            "trainer.max_steps=200", "trainer.max_steps=6"
        )
    nbclient.NotebookClient(
        notebook, timeout=240, kernel_name="python3", resources={"metadata": {"path": str(tmp_path)}}
    ).execute()
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", ())]
    shown = {kind for output in outputs for kind in output.get("data", {})}
    printed = "".join(output.get("text", "") for output in outputs)
    assert {"text/html", "image/png"} <= shown
    assert "train: 100%" in printed
    assert "Warning" not in printed
    assert "6/6" in printed
    assert path.stem != "own_method" or " passed" in printed


def test_a_run_is_shown_with_pictures_and_scores(tmp_path: Path) -> None:
    folder = make(tmp_path / "run<b>", SCORES)
    html = TrainingResult(folder, None, None, {})._repr_html_()
    assert '<img alt="pictures of iteration' in html
    assert "data:image/png;base64," in html
    assert "<table" in html
    assert "run&lt;b&gt;" in html
    assert "<b>/" not in html


def test_a_run_without_anything_is_shown(tmp_path: Path) -> None:
    html = TrainingResult(tmp_path, None, None, {})._repr_html_()
    assert "not evaluated yet" in html


def test_scores_are_a_table_and_still_a_mapping() -> None:
    row = {"value": 0.5, "low": 0.4, "high": 0.6, "ceiling": 0.7}
    results = Results({"a<b.ckpt": {"scores": {"A2B": {"psnr": row}}, "notes": ["few pictures"]}})
    html = results._repr_html_()
    assert "a&lt;b.ckpt" in html
    assert "<table" in html
    assert "few pictures" in html
    assert dict(results)["a<b.ckpt"]["scores"]["A2B"]["psnr"] == row


def test_before_and_after_are_one_picture(tmp_path: Path) -> None:
    translator = gan_style.load(saved(tmp_path / "a.ckpt", "model=cyclegan"), device="cpu")
    image = np.random.default_rng(0).integers(0, 256, (21, 30, 3), np.uint8)
    Image.fromarray(image).save(tmp_path / "a.png")
    expected = translator.translate(image, "B2A")
    for given in (image, Image.fromarray(image), tmp_path / "a.png"):
        both = np.asarray(Image.open(io.BytesIO(translator.before_after(given, "B2A")._repr_png_())))
        assert both.shape == (21, 60 + GAP_PIXELS, 3)
        assert np.array_equal(both[:, :30], image)
        assert np.array_equal(both[:, -30:], expected)
    assert BeforeAfter(torch.zeros(3, 8, 9), torch.ones(3, 8, 9)).image().size == (18 + GAP_PIXELS, 8)
    with pytest.raises(UserError):
        BeforeAfter(np.zeros((4, 4, 3), np.float32), image).image()
