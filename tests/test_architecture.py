"""The rules of CONTRIBUTING that a machine can hold."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "gan_style"
FILES = sorted(PACKAGE.rglob("*.py"))
# what each folder may import of the package, beside itself, errors, types, what prints and what reads torch's files
MAY_IMPORT = {
    "networks": set(),
    "losses": set(),
    "metrics": {"networks"},
    "data": set(),
    "report": {"data.budget"},
    "inspection": {"data", "sheet"},
    "tiling": {"checks", "data.cache"},
    "models": {"networks", "losses", "data.seeding", "schedules"},
    "doctor": {"losses.adversarial", "losses.precision", "models"},
    "callbacks": {"doctor", "models", "metrics", "data.images", "data.saving", "checkpoint", "signals"},
}


def imports(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_imports_point_one_way(path: Path) -> None:
    room = path.relative_to(PACKAGE).parts[0]
    ours = {name.removeprefix("gan_style.") for name in imports(path) if name.startswith("gan_style.")}
    if room in MAY_IMPORT:
        allowed = {
            room,
            "errors",
            "memory",
            "paths",
            "plain_data",
            "terminal",
            "types",
            "torch_files",
            "__version__",
            *MAY_IMPORT[room],
        }
        wrong = {n for n in ours if not any(n == a or n.startswith(f"{a}.") for a in allowed)}
        assert not wrong, f"{room} must not import {wrong}"
    outside = {name.split(".")[0] for name in imports(path)}
    relative = str(path.relative_to(PACKAGE))
    assert "hydra" not in outside or relative in ("config.py", "train.py", "hydra_guard.py")
    assert "wandb" not in outside or relative == "loggers.py"
    assert "albumentations" not in outside or relative == "data/transforms.py"


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_files_and_functions_stay_short(path: Path) -> None:
    text = path.read_text()
    assert text.count("\n") <= 350
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert (node.end_lineno or 0) - node.lineno < 60, f"{node.name} is too long"


def test_the_readme_lists_every_model() -> None:
    readme = (ROOT / "README.md").read_text()
    for path in (ROOT / "conf" / "model").glob("*.yaml"):
        assert f"`{path.stem}`" in readme


@pytest.mark.parametrize("module", ["gan_style", "gan_style.cli", "gan_style.train"])
def test_nothing_heavy_is_imported_before_it_is_needed(module: str) -> None:
    heavy = ("torch", "pytorch_lightning", "wandb", "albumentations", "torchvision", "cv2")
    code = f"import sys, {module}; print([m for m in {heavy!r} if m in sys.modules])"
    found = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
