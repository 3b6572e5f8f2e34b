"""The rules of CONTRIBUTING that a machine can hold."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import small_words
from tests.house import House, circles, floors
from tests.small_models import saved

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "gan_style"
HOUSE = House(PACKAGE)
FILES = list(HOUSE.files.values())
HYDRA = ("core/hydra_guard.py", "core/compose.py", "cli/train.py")

# Below training nobody but the data module, which Lightning asks for batches, knows Lightning.
LIGHTNING = ("training/", "apps/planning/", "cli/audit.py", "data/datamodule.py", "data/folders.py", "data/shards.py")

# What each room may import of the package beside itself. A room stands for all that lies in it.
MAY_IMPORT = {
    "core": set(),
    # parts that know nothing of one another
    "data": {"core"},
    "data.named": {"core"},
    "data.scenes": {"core"},
    "data.inspection": {"core", "data"},
    "networks": {"core"},
    "losses": {"core"},
    "metrics": {"core", "networks"},
    "report": {"core", "metrics.table"},
    # put together
    "models": {"core", "networks", "losses"},
    "checkpoints": {"core", "networks", "models"},
    "training": {"core", "data", "networks", "metrics.own", "metrics.table", "models", "checkpoints", "report"},
    "training.doctor": {
        *("core.direction", "core.precision", "losses.adversarial", "metrics.detail", "metrics.grid", "models"),
        "networks.contract",
    },
    "training.engine": {"core", "models"},
    "training.callbacks": {
        *(
            "core",
            "data.datamodule",
            "data.images",
            "data.image_sets",
            "data.saving",
            "metrics",
            "models",
            "checkpoints",
        ),
        "training.doctor",
        "training.engine",
    },
    "inference": {"core", "data", "networks", "models", "checkpoints"},
    "inference.tiling": {"core", "data.cache", "networks.contract", "networks.wrap"},
    "inference.video": {"core", "data", "metrics", "inference"},
    "inference.live": {"core", "data", "inference"},
    "evaluation": {"core", "data", "networks", "losses", "metrics", "report", "checkpoints", "inference"},
    # doors: an app knows no other, and nobody but the files at the root imports a verb
    "apps": set(),
    "apps.bench": {"core", "data", "networks", "metrics", "report", "training", "inference", "evaluation"},
    "apps.export": {"core", "data", "models", "checkpoints", "inference"},
    "apps.planning": {"core", "data", "networks", "models", "training"},
    "apps.serve": {"core", "data", "checkpoints", "inference"},
    "apps.studio": {"core", "data", "networks", "models", "report", "checkpoints", "inference"},
    "apps.sweep": {"core", "report"},
    "cli": {*HOUSE.packages},
    "testing": {"core", "data", "losses.adversarial", "networks.contract", "models", "checkpoints", "training"},
    # the functions behind the verbs, and no verb
    "__init__": {
        "core",
        "data.inspection",
        "report",
        "training",
        "inference",
        "evaluation",
        "apps.export",
        "apps.planning",
    },
    "__main__": {"core", "cli"},
    "train": {"core", "training", "cli"},
}


def below(module: str, allowed: set[str]) -> bool:
    name = module.removeprefix("gan_style.")
    return any(name == one or name.startswith(f"{one}.") for one in allowed)


def test_every_file_is_in_a_room_with_a_row() -> None:
    assert HOUSE.rooms.keys() == MAY_IMPORT.keys()
    assert len(HOUSE.root_files) <= 4
    assert len(HOUSE.packages) <= 13


@pytest.mark.parametrize("module", HOUSE.files)
def test_imports_point_one_way(module: str) -> None:
    room = HOUSE.room(module)
    allowed = {room, *MAY_IMPORT[room]}
    wrong = {other for other in HOUSE.imports[module] if not below(other, allowed)}
    assert not wrong, f"{room} must not import {wrong}"


def test_there_is_no_circle_and_the_house_is_low() -> None:
    print("\n".join(f"{count:5}  {name}" for name, count in HOUSE.counts().items()))
    assert not circles(HOUSE.imports)
    assert not circles(HOUSE.rooms)
    assert floors(HOUSE.rooms) <= 9


def test_circles_and_floors_are_found() -> None:
    straight: dict[str, set[str]] = {"a": {"b"}, "b": {"c"}, "c": set(), "d": {"c"}}
    assert (circles(straight), floors(straight)) == ([], 3)
    round_ = straight | {"c": {"b"}}
    assert (circles(round_), floors(round_)) == ([["b", "c"]], 2)


def test_imports_inside_functions_count(tmp_path: Path) -> None:
    files = {
        "__init__": "",
        "one": "from pack.room import two\nif TYPE_CHECKING:\n    import pack.unseen\n",
        "room/__init__": "",
        "room/two": "def f():\n    from pack.one import name\n",
        "unseen": "import pack.one",
    }
    for name, text in files.items():
        path = tmp_path / "pack" / f"{name}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    house = House(tmp_path / "pack")
    assert house.rooms == {"__init__": set(), "one": {"room"}, "room": {"one"}, "unseen": {"one"}}
    assert circles(house.imports) == [["pack.one", "pack.room.two"]]


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_other_packages_have_their_place(path: Path) -> None:
    outside = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            outside |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            outside.add(node.module.split(".")[0])
    relative = str(path.relative_to(PACKAGE))
    assert "hydra" not in outside or relative in HYDRA
    assert "pytorch_lightning" not in outside or relative.startswith(LIGHTNING)
    assert "torchmetrics" not in outside or relative.startswith("metrics/")
    assert "wandb" not in outside or relative == "training/loggers.py"
    assert "albumentations" not in outside or relative == "data/transforms.py"


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_functions_stay_short(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert (node.end_lineno or 0) - node.lineno < 60, f"{node.name} is too long"


def test_long_files_are_noted_and_refuse_nothing(tmp_path: Path) -> None:
    print("\n".join(HOUSE.notes()))  # shown by pytest -rP, and by python -m tests.house
    (tmp_path / "long.py").write_text("\n" * 351)
    (tmp_path / "short.py").write_text("\n" * 350)
    assert House(tmp_path).notes() == ["note: long.py has 351 lines: is it about one thing?"]


def test_whatever_is_there_is_used(tmp_path: Path) -> None:
    elsewhere = [*(ROOT / "conf").rglob("*.yaml"), *(ROOT / "experiments").rglob("*.py"), ROOT / "train.py"]
    elsewhere += [*(PACKAGE / "cli/template").rglob("*.txt"), ROOT / "docs/your_own.md"]  # what users inherit
    assert not HOUSE.unused(*elsewhere), "used by tests at most: remove it, or publish it in its package's PLACES"
    (tmp_path / "one.py").write_text("def used(): ...\ndef left(): ...\nclass Configured: ...\n")
    (tmp_path / "two.py").write_text("used()\n")
    (tmp_path / "three.yaml").write_text("_target_: one.Configured\n")
    assert House(tmp_path).unused(tmp_path / "three.yaml") == [f"{tmp_path.name}.one.left"]


def test_the_readme_is_short_and_the_page_of_methods_lists_every_model() -> None:
    assert len((ROOT / "README.md").read_text().splitlines()) < 100
    methods = (ROOT / "docs" / "methods.md").read_text()
    for path in (ROOT / "conf" / "model").glob("*.yaml"):
        assert f"`{path.stem}`" in methods


@pytest.mark.parametrize("module", ["gan_style", "gan_style.cli.main", "gan_style.train", "gan_style.apps.studio.verb"])
def test_nothing_heavy_is_imported_before_it_is_needed(module: str) -> None:
    heavy = ("torch", "pytorch_lightning", "wandb", "albumentations", "torchvision", "cv2")
    code = f"import sys, {module}; print([m for m in {heavy!r} if m in sys.modules])"
    found = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


def loaded_by(code: str, *names: str) -> list[str]:
    """Which packages a process of its own has imported at its end."""
    code += f"\nimport sys; print([name for name in {names!r} if name in sys.modules])"
    found = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    names_there: list[str] = ast.literal_eval(found.stdout.splitlines()[-1])
    return names_there


# What training needs and a trained model does not; each takes a second or more.
OF_TRAINING = ("pytorch_lightning", "torchmetrics", "albumentations", "hydra", "omegaconf", "torchvision", "wandb")


def test_using_a_trained_model_imports_nothing_of_training(tmp_path: Path) -> None:
    path = saved(tmp_path / "x.ckpt")
    code = f"""
import gan_style, gan_style.inference.translator, gan_style.inference.video.translate
from PIL import Image
gan_style.load({str(path)!r}, device="cpu").translate(Image.new("RGB", (32, 32)))
"""
    assert loaded_by(code, *OF_TRAINING, "torch._dynamo") == []
    assert loaded_by(f"from gan_style.cli.main import main\nmain(['describe', {str(path)!r}])", *OF_TRAINING) == []
    assert loaded_by("import omegaconf", *OF_TRAINING) == ["omegaconf"]  # so it would be seen


# What a training with the default callbacks and `logger=csv` does without.
OF_OTHERS = (
    *("albumentations", "wandb", "tensorboard", "huggingface_hub", "matplotlib", "pandas", "optuna", "av"),
    *("onnx", "onnxruntime", "fastapi", "gradio", "gan_style.apps", "gan_style.evaluation.judge"),
)


def test_a_training_imports_nothing_that_it_does_not_use(tmp_path: Path) -> None:
    words = [*small_words("model=cyclegan"), "trainer=cpu", "trainer.max_steps=1", f"run_dir={tmp_path / 'run'}"]
    code = f"""
import sys
sys.argv = ["train.py", *{words!r}]
from gan_style.cli.train import main
main()
"""
    assert loaded_by(code, *OF_OTHERS) == []
    assert (tmp_path / "run" / "checkpoints" / "last.ckpt").is_file()
