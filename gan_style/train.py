"""`python -m gan_style.train ...`: the door of `gan_style.cli.train`, under the name that it has always had.

`gan_style.train` is also the function `gan_style.training.from_python.train`. A program that imports this file as well puts
this module in the function's place, so the module can be called like it.
"""

import sys
from types import ModuleType
from typing import Any

from gan_style.core import signals

if __name__ == "__main__":
    signals.begin()  # what is imported next takes a second

from gan_style.cli.train import main


class _Door(ModuleType):
    def __call__(self, *overrides: str, **options: Any) -> Any:
        from gan_style.training.from_python import train

        return train(*overrides, **options)


sys.modules[__name__].__class__ = _Door

if __name__ == "__main__":
    with signals.command():
        main()
