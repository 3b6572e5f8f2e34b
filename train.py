"""Train a model: `python train.py model=cyclegan data=monet2photo`. `--help` lists the choices."""

try:
    from gan_style.train import main
except KeyboardInterrupt:
    raise SystemExit(130) from None

if __name__ == "__main__":
    main()
