"""Train a model: `python train.py model=cyclegan data=monet2photo`. `--help` lists the choices."""

from gan_style.signals import command

if __name__ == "__main__":
    with command():
        from gan_style.train import main

        main()
