"""Write the weights of experiment=instant as the package carries them: float16, without the VGG of the losses.

python experiments/instant/ship.py RUN/checkpoints/last.ckpt gan_style/checkpoints/microast.safetensors
"""

from __future__ import annotations

from pathlib import Path

import gan_style
from gan_style.checkpoints import safetensors
from gan_style.core.terminal import Parser


def main() -> None:
    parser = Parser(description=__doc__.splitlines()[0])
    parser.add_argument("checkpoint")
    parser.add_argument("out", type=Path)
    parsed = parser.parse_args()
    translator = gan_style.load(parsed.checkpoint, device="cpu")
    about = dict(translator.about or {})
    about["config"] = {"model": {**about["config"]["model"], "vgg": None}}
    about["best"] = {"rule": "newest", "score": None, "iteration": None}
    about.pop("init_from", None)
    about.pop("styles", None)  # the names of more than a thousand files
    state = {name: value.half() for name, value in translator.model.state_dict().items()}
    safetensors.write(state, about, parsed.out)
    print(f"{parsed.out}: {parsed.out.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
