"""`python -m gan_style VERB` is `gan-style VERB`."""

import sys

from gan_style.core import signals

if __name__ == "__main__":
    signals.begin()

from gan_style.cli.main import main

sys.exit(main())
