"""`make golden`: write the files again, when numbers change on purpose."""

import tempfile
from pathlib import Path

from tests.golden.losses import FOLDER, MODELS, record

for model in MODELS:
    with tempfile.TemporaryDirectory() as folder:
        (FOLDER / f"{model}.csv").write_text(record(model, Path(folder) / "run"))
