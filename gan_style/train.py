"""`python -m gan_style.train ...`: the door of `gan_style.cli.train`, under the name that it has always had."""

from gan_style.core import signals

if __name__ == "__main__":
    signals.begin()  # what is imported next takes a second

from gan_style.cli.train import main

if __name__ == "__main__":
    with signals.command():
        main()
