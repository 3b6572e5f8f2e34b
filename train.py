"""Train a model: `python train.py model=cyclegan data=monet2photo`. `--help` lists the choices."""

from gan_style.core.signals import command

if __name__ == "__main__":
    with command():
        from gan_style.cli.train import main

        main()
