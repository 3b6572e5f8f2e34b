# gan_style in a container, on a CPU unless a build says otherwise:
#   docker build -t gan-style .
#   docker build -t gan-style:cuda --build-arg TORCH=cu130 .        # run with --gpus all
#   docker run --rm -v "$PWD:/work" gan-style translate best.ckpt photos/ out/
#   docker run --rm -p 8000:8000 -v "$PWD:/work" gan-style serve best.ckpt --host 0.0.0.0
ARG PYTHON=3.12
FROM python:${PYTHON}-slim-bookworm AS build
# As uv names it: cpu, cu130, cu128, rocm6.4, ... The wheels bring their CUDA libraries; the image needs a driver only.
ARG TORCH=cpu
ARG EXTRAS=export,hub,serve,video
RUN pip install --no-cache-dir "uv>=0.9,<1"
WORKDIR /src
COPY pyproject.toml hatch_build.py README.md LICENSE ./
COPY conf conf
COPY gan_style gan_style
RUN uv venv /opt/gan_style \
    && uv pip install --no-cache --python /opt/gan_style/bin/python --torch-backend "${TORCH}" ".[${EXTRAS}]"

FROM python:${PYTHON}-slim-bookworm
RUN useradd --uid 1000 --create-home artist \
    && install --directory --owner artist --group artist /work /weights
COPY --from=build /opt/gan_style /opt/gan_style
# What is fetched on request (VGG, Inception, hubs, features of real pictures) stays in the volume /weights.
ENV PATH=/opt/gan_style/bin:$PATH \
    TORCH_HOME=/weights/torch \
    HF_HOME=/weights/huggingface \
    XDG_CACHE_HOME=/weights/cache \
    NVIDIA_VISIBLE_DEVICES=all \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility
USER artist
WORKDIR /work
VOLUME ["/weights"]
EXPOSE 8000
ENTRYPOINT ["gan-style"]
CMD ["--help"]
