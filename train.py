"""Train a model: `python train.py model=cyclegan data=monet2photo`. `--help` lists the choices."""

from gan_style.train import main

if __name__ == "__main__":
    main()
