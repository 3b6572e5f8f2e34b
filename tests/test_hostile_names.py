"""Texts out of files of strangers, wherever they are shown: on a page they are text, on a terminal they are a line."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from PIL import Image

import gan_style
from gan_style.apps.studio.models import find_runs
from gan_style.apps.studio.runs import gallery
from gan_style.checkpoints.hub import card
from gan_style.cli.main import main
from gan_style.core.errors import UserError
from gan_style.evaluation.distances import read_results
from gan_style.evaluation.plot import plot
from gan_style.evaluation.result_table import latex, markdown, terminal
from gan_style.inference.load import from_pretrained
from gan_style.report.comparison import render_comparison
from gan_style.report.page import render
from gan_style.report.read import read_run
from tests.small_models import saved

HARMLESS = "harmless"
PLANTED = {
    "an element": "<img src=x onerror=alert(1)><script>alert(1)</script></pre></title></style>",
    "an attribute": "\"><svg onload='alert(1)'> x=\" y='",
    "a link": "javascript:alert(1) [x](javascript:alert(1)) <javascript:x> ![x](http://x.example/a)",
    "a line": "x\n\n# Title\n| --- |\n<b>b</b>\r\n% \n\\input{/etc/passwd}",
    "a terminal": "\x1b[2J\x1b]0;title\x07\x9b31m\x08\x7f\u202e\u2066",
    "templates": "${x} $x {{x}} {x} %s &lt;b&gt; &#60;b&#62;",
    "half a letter": "\ud800\udcff",
}
VOID = {"wbr"}  # which a page puts where a long name may be broken


class Skeleton(HTMLParser):
    """The elements of a page with the names of their attributes, and what an attribute may do."""

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.found: list[tuple[str, tuple[str, ...]]] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        if tag not in VOID:
            self.found.append((tag, tuple(name for name, _ in attributes)))
        for name, value in attributes:
            if name in ("href", "src", "action"):
                assert re.match(r"#|data:image/(png|webp);base64,", value or ""), (tag, name, value)
            assert not name.startswith("on"), (tag, name)


def run_of(folder: Path, text: str) -> Path:
    """A run folder with a text in every place that is read of one."""
    row = {"value": 1.0, "low": 0.5, "high": 1.5, "floor": 0.1, "ceiling": 2.0}
    entries = {"fid": row, f"kid_{text}": row, text: row}
    files: dict[str, Any] = {
        "config.yaml": {
            "name": text,
            "model": {"_target_": f"a.{text}", "generator": {"_target_": text, "norm": text, text: 3}, "lambda_x": 1},
            "data": {"_target_": text, "set": text, "image_size": text, "batch_size": text},
            "seed": text,
            text: {text: [text]},
        },
        "scores.json": {
            "scores": {"A2B": entries, text: entries},
            "baselines": {text: {"A2B": {"fid": 3.0}}, "input": {text: {"fid": row}}},
            "protocol": {text: text, "iteration": 2, "resize": [text, {text: text}]},
        },
        "run.json": {
            **dict.fromkeys(("gan_style", "torch", "python", "device", "stopped", "iterations", "ended early"), text),
            "parameters": {text: 3, "G": text},
            "data": dict.fromkeys(("name", "about", "licence", "citation"), text),
            "best": {"rule": f"highest val/A2B/{text}", "iteration": 2},
            "last": {"iteration": 3},
            text: {text: text},
        },
    }
    folder.mkdir(parents=True)
    (folder / "config.yaml").write_bytes(
        yaml.safe_dump(files["config.yaml"], allow_unicode=True).encode(errors="replace")
    )
    for name in ("scores.json", "run.json"):
        (folder / name).write_text(json.dumps(files[name]))
    cell = '"' + text.replace('"', '""').replace("\n", " ").replace("\r", " ").encode(errors="replace").decode() + '"'
    heads = [
        f'"val/A2B/{cell[1:]}',
        f'"train/G_{cell[1:]}',
        f'"train/{cell[1:]}',
        cell,
        f'"doctor/a/{cell[1:]}',
        '"lr/G"',
    ]
    lines = [",".join(['"iteration"', *heads])] + [",".join([str(i)] + [str(i / 2)] * len(heads)) for i in range(3)]
    (folder / "metrics.csv").write_text("\n".join([*lines, "3" + ",nan" * len(heads)]) + "\n")
    found = dict.fromkeys(("code", "where", "symptom", "seen", "cause", "change", "docs"), text)
    (folder / "findings.jsonl").write_text(json.dumps({**found, "severity": "critical", "iteration": 2}) + "\n")
    (folder / "images").mkdir()
    Image.new("RGB", (8, 8)).save(folder / "images" / "iteration-2.png")
    (folder / "images" / "iteration-3.png").write_text(f"no picture {text}".encode(errors="replace").decode())
    (folder / "checkpoints").mkdir()
    (folder / "checkpoints" / "best.ckpt").touch()
    return folder


@pytest.fixture(params=PLANTED)
def planted(request: pytest.FixtureRequest) -> str:
    return PLANTED[request.param]


def pages(folder: Path, text: str) -> dict[str, str]:
    """All pages that show a run."""
    run_of(folder / "runs" / text.replace("/", "").replace("\ud800", ""), text)
    [path] = (folder / "runs").iterdir()
    run = read_run(path)
    return {
        "report": render(run),
        "comparison": render_comparison([run, read_run(run_of(folder / "other", "another"))]),
        "studio": gallery(folder / "runs"),
    }


def test_no_page_of_a_run_gets_an_element_from_it(tmp_path: Path, planted: str) -> None:
    expected, found = pages(tmp_path / "a", HARMLESS), pages(tmp_path / "b", planted)
    for name, page in found.items():
        page.encode()
        assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202e\u2066]", page), name
        assert_alike(page, expected[name])


def assert_alike(page: str, expected: str) -> None:
    """No kind of element or attribute is in the one that is not in the other, and no script more."""
    found, known = Skeleton(page).found, Skeleton(expected).found
    assert set(found) - set(known) == set()
    assert found.count(("script", ())) == known.count(("script", ()))


def test_the_studio_s_models_have_names_that_can_be_sent(tmp_path: Path) -> None:
    for name in (b"\xff\xfe", b"\x1b[2J<b>"):
        folder = Path(str(tmp_path)) / name.decode(errors="surrogateescape")
        run_of(folder, HARMLESS)
    (tmp_path / "link" / "checkpoints").mkdir(parents=True)
    (tmp_path / "link" / "checkpoints" / "last.ckpt").symlink_to("nowhere")
    names = list(find_runs(tmp_path))
    assert sorted(names) == ["\\udcff\\udcfe", "\\x1b[2J<b>"]
    json.dumps(names).encode()
    gallery(tmp_path).encode()


def results_of(text: str) -> dict[str, Any]:
    row = {"value": 1.0, "low": 0.5, "high": 1.5, "floor": 0.1, "ceiling": 2.0}
    stamp = dict.fromkeys(("extractor", "sha256", "size", "data", "resize", "picture_size", "picture_resize"), text)
    one = {"protocol": {**stamp, "N_real": {text: 1}, "N_fake": text}, "scores": {text: {text: row, "fid": row}}}
    return {
        text: one,
        "other": json.loads(json.dumps(one)),
        "third": {**one, "protocol": {**one["protocol"], "x": text}},
    }


def test_tables_of_scores_hold_it_as_text(planted: str) -> None:
    if planted == PLANTED["half a letter"]:
        planted = "\udcff"
    found, expected = results_of(planted), results_of(HARMLESS)
    for make in (markdown, latex, terminal, plot):
        text = make(found)
        text.encode()
        assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e\u2066]", text), make.__name__
        assert make is plot or text.count("\n") == make(expected).count("\n"), make.__name__
    assert_alike(plot(found), plot(expected))
    assert Skeleton(markdown(found)).found == []
    assert not re.search(r"(?<!\\)[\[\]`]", markdown(found))
    for line, other in zip(markdown(found).splitlines(), markdown(expected).splitlines(), strict=True):
        bars = re.compile(r"(?<!\\)(?:\\\\)*\|")
        assert len(bars.findall(line)) == len(bars.findall(other))
    comment, *rest = latex(found).splitlines()
    assert comment.startswith("% ")
    assert not any(
        re.search(r"\\input|(?<!\\)[%$#]", line.replace(r"$\uparrow$", "").replace(r"$\downarrow$", ""))
        for line in rest
    )


@pytest.fixture
def images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for name in "abcd":
        (tmp_path / "set").mkdir(exist_ok=True)
        noise = np.random.default_rng(ord(name)).integers(0, 256, (24, 24, 3), np.uint8)
        Image.fromarray(noise).save(tmp_path / "set" / f"{name}.png")
    return tmp_path / "set"


def test_scores_of_a_stranger_in_a_table_of_ours(
    images: Path, tmp_path: Path, planted: str, capsys: pytest.CaptureFixture[str]
) -> None:
    given = tmp_path / "given.json"
    content = results_of(planted)
    content["other"]["notes"] = [planted]
    given.write_text(json.dumps({"results": content}))
    words = ["compare", str(images), str(images), "--size", "24", "--draws", "2", "--against", str(given)]
    assert main(words) == 2, "another protocol"
    assert main([*words, "--force", "--out", str(tmp_path / "out.json")]) == 0
    assert quiet("".join(capsys.readouterr()))
    assert main(["compare", *words[1:3], "--size", "24", "--against", str(tmp_path / "out.json"), "--force"]) == 0


@pytest.mark.parametrize(
    "change",
    [
        {"floor": "x"},
        {"ceiling": [1]},
        {"value": 10**400},
        {"value": float("nan")},
        {"low": None},
        {"high": "1"},
    ],
)
def test_scores_that_are_no_numbers_are_refused(tmp_path: Path, change: dict[str, Any]) -> None:
    content = results_of(HARMLESS)[HARMLESS]
    content["scores"][HARMLESS]["fid"] |= change
    (tmp_path / "a.json").write_text(json.dumps(content))
    with pytest.raises(UserError, match=r"a\.json is not a file of scores"):
        read_results(tmp_path / "a.json")


def test_other_files_that_are_no_scores_are_refused(tmp_path: Path) -> None:
    good = results_of(HARMLESS)[HARMLESS]
    for text in ("[" * 100_000, json.dumps({**good, "notes": 3}), json.dumps({**good, "notes": [3]})):
        (tmp_path / "a.json").write_text(text)
        with pytest.raises(UserError, match=r"a\.json "):
            read_results(tmp_path / "a.json")
    (tmp_path / "a.json").write_text(json.dumps({**good, "scores": {**good["scores"], "A2B": 3}}))
    with pytest.raises(UserError, match=r"a\.json is not a file of scores"):
        read_results(tmp_path / "a.json")


def quiet(said: str) -> bool:
    """Whether a terminal is told nothing but text and the ends of lines."""
    assert all(c == "\n" or c.isprintable() for c in said), re.findall(r"[^\n -~]{1,20}", said)
    return True


@pytest.fixture
def hostile(tmp_path: Path) -> Callable[[str], Path]:
    """A checkpoint with a text in every place that takes one."""

    def make(text: str) -> Path:
        path = saved(tmp_path / "a.ckpt", "model=style_conditional", styles=["one", "two"])
        content = torch.load(path, weights_only=True)
        content["domains"] = {letter: {**content["domains"][letter], "name": text + letter} for letter in "AB"}
        content |= {"styles": [text, f"{text}2"], "version": text, "weights": text, "iteration": 7}
        content |= {"best": {"rule": text}, "preprocessing": {text: text, "image_size": 16}}
        content |= {"imported": {text: {"file": text, "sha256": text}}}
        torch.save(content, path)
        return path

    return make


def test_a_checkpoint_s_texts_on_the_terminal(
    tmp_path: Path, planted: str, hostile: Callable[[str], Path], capsys: pytest.CaptureFixture[str]
) -> None:
    path, photo, out = hostile(planted), tmp_path / "photo.png", tmp_path / "out.png"
    Image.new("RGB", (16, 16)).save(photo)
    assert main(["describe", str(path)]) == 0
    lines = capsys.readouterr().out
    assert quiet(lines)
    assert lines.count("\n") == 17
    for words in (["--style", "none"], ["--style", "noise:none"], ["--direction", "B2A"]):
        assert main(["translate", str(path), str(photo), str(out), *words]) == 2
    assert main(["translate", str(path), str(photo), str(out), "--style", planted]) in (0, 2)
    main(["sheet", str(out), "--content", str(photo), "--checkpoint", str(path), "--style", f"{planted}2"])
    for name in ("a.safetensors", "a.pth"):
        main(["export", str(path), str(tmp_path / name)])
    assert quiet("".join(capsys.readouterr()))


def test_the_card_of_a_model_holds_them_as_text(planted: str) -> None:
    def made(text: str) -> str:
        model = {"_target_": f"a.{text}", "generator": {"_target_": f"b.{text}"}}
        domains = {letter: {"name": text} for letter in "AB"}
        about = {"config": {"model": model}, "domains": domains, "preprocessing": {"image_size": text}}
        return card({**about, "iteration": text, "best": {"rule": text}, "weights": text}, text)

    text, expected = made(planted.replace("\ud800", "\udcff")), made(HARMLESS)
    text.encode()
    assert text.count("\n") == expected.count("\n")
    text = text[: text.index("```python")]
    assert Skeleton(text).found == []
    assert not re.search(r"(?<!\\)[\[\]`]", text)


def test_what_lies_beside_the_weights_of_a_hub_folder_has_no_say(tmp_path: Path) -> None:
    gan_style.load(saved(tmp_path / "a.ckpt", "model=cut"), device="cpu").save_pretrained(tmp_path / "hub")
    image = torch.rand(3, 16, 16) * 2 - 1
    expected = from_pretrained(tmp_path / "hub", device="cpu").translate(image)
    for text in ("[" * 100_000, json.dumps({"config": {"model": {"_target_": "os.system"}}, "auto_map": "x.py"}), ""):
        (tmp_path / "hub" / "config.json").write_text(text)
        (tmp_path / "hub" / "modeling.py").write_text("raise SystemExit(3)")
        assert torch.equal(from_pretrained(tmp_path / "hub", device="cpu").translate(image), expected)


def test_the_page_of_a_sweep_holds_them_as_text(tmp_path: Path, planted: str) -> None:
    pytest.importorskip("optuna", reason="sweeps need optuna")
    from gan_style.apps.sweep import summary
    from gan_style.apps.sweep.scores import Rule
    from gan_style.apps.sweep.space import Choice

    def made(folder: Path, text: str) -> Path:
        rows = [
            {"trial": n, "state": state, "score": float(n), "iteration": n, "params": {text: "b"}, "seconds": 1.0}
            | {"error": text}
            for n, state in enumerate(("done", "done", "failed"))
        ]
        file = SimpleNamespace(budget=None)
        sweep: Any = SimpleNamespace(
            name=text, folder=folder, space={text: Choice("choice", ["b", text])}, overrides={}, trials=3
        )
        sweep.file, sweep.fingerprint, sweep.config_dirs = file, dict, list
        base = SimpleNamespace(rule=Rule(text, "highest"))
        study = SimpleNamespace(rows=lambda: rows, base=base, importances=lambda: {text: 1.0})
        folder.mkdir()
        summary.write(sweep, study)
        return folder

    text = planted.replace("\ud800", "\udcff").replace(".", "")
    found, expected = made(tmp_path / "a", text), made(tmp_path / "b", HARMLESS)
    for name in ("sweep.html", "parallel.svg", "importance.svg", "summary.md"):
        page, other = ((folder / name).read_text() for folder in (found, expected))
        assert_alike(page, other)
        assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202e]", page), name
    assert (found / "summary.md").read_text().count("\n") == (expected / "summary.md").read_text().count("\n")
    head, *_ = yaml.safe_load_all((found / "best.yaml").read_text())
    assert head == {text: "b"}
