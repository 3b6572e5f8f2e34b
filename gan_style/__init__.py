"""Unpaired image translation and style transfer.

translator = gan_style.load("runs/.../best.ckpt")
picture = translator.translate("photo.jpg", direction="A2B")
result = gan_style.train("model=cut", "data.root=photos", run_dir="runs/mine")

Each verb of the command line is a function here (docs/python.md). Nothing is imported before it is used: torch
takes seconds.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from gan_style.core.errors import Interrupted as Interrupted
from gan_style.core.errors import TrainingFailed as TrainingFailed
from gan_style.core.errors import UserError as UserError
from gan_style.core.lazy import lazily
from gan_style.core.version import __version__ as __version__

# Before torch is imported. OpenMP's threads spin while they wait, which slows a CPU severalfold beside any other busy
# process, or a thread of our own that reads or writes. Where they sleep at once, waking them takes longer than a layer
# of a small network. Some ten thousandths of a second of spinning (GNU's OpenMP counts turns) cost neither.
if "OMP_WAIT_POLICY" not in os.environ:
    os.environ["OMP_WAIT_POLICY"] = "PASSIVE"
    os.environ.setdefault("GOMP_SPINCOUNT", "3000")

if TYPE_CHECKING:
    from gan_style.apps.export.export import export as export
    from gan_style.apps.export.importing import import_official as import_official
    from gan_style.apps.planning.plan import plan as plan
    from gan_style.data.inspection.examine import inspect as inspect
    from gan_style.evaluation.scoring import compare as compare
    from gan_style.evaluation.scoring import evaluate as evaluate
    from gan_style.inference.describe import describe as describe
    from gan_style.inference.load import from_pretrained as from_pretrained
    from gan_style.inference.load import load as load
    from gan_style.report import write_report as write_report
    from gan_style.training.from_python import TrainingResult as TrainingResult
    from gan_style.training.from_python import train as train

PLACES = {
    "TrainingResult": "training.from_python",
    "compare": "evaluation.scoring",
    "describe": "inference.describe",
    "evaluate": "evaluation.scoring",
    "export": "apps.export.export",
    "from_pretrained": "inference.load",
    "import_official": "apps.export.importing",
    "inspect": "data.inspection.examine",
    "load": "inference.load",
    "plan": "apps.planning.plan",
    "train": "training.from_python",
    "write_report": "report",
}


def __getattr__(name: str) -> Any:
    return lazily(__name__, PLACES, name)


def __dir__() -> list[str]:
    return sorted({*globals(), *PLACES})
