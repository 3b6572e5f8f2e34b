"""The facts of a run: what was trained on what, for how long, and what it cost."""

from typing import Any

from gan_style.report.names import plain
from gan_style.report.read import Run, as_mapping, as_number

_TIMES = "\N{MULTIPLICATION SIGN}"
_DATA_ENDINGS = ("DataModule", "Dataset", "Data")


def model_name(run: Run) -> str:
    """Returns the name of the model's class, or "Model" where it is not known."""
    return _class_name(as_mapping(run.config.get("model"))) or "Model"


def data_name(run: Run) -> str:
    """Returns what the data are called: their name, their folder, or their class."""
    data = as_mapping(run.config.get("data"))
    if isinstance(data.get("name"), str):
        return str(data["name"])
    for key in ("root", "path", "folder", "dir"):
        if isinstance(data.get(key), str) and data[key].strip("/"):
            return str(data[key]).replace("\\", "/").rstrip("/").split("/")[-1]
    name = _class_name(data)
    for ending in _DATA_ENDINGS:
        if name.endswith(ending) and name != ending:
            return name.removesuffix(ending).lower()
    return name


def iterations(run: Run) -> int | None:
    """Returns how many iterations were made: as recorded, as logged, or else as configured."""
    made = as_number(run.record.get("iterations"))
    if made is None and run.metrics:
        made = max((series.x[-1] for series in run.metrics if series.x), default=None)
    return round(made) if made is not None else _configured(run)


def failure(run: Run) -> str:
    """Returns how the run stopped where it did not finish, else an empty text."""
    stopped = str(run.record.get("stopped") or "finished")
    return "" if stopped == "finished" else stopped


def facts(run: Run) -> list[tuple[str, str]]:
    """Returns the short summary of the configuration."""
    model, data = (as_mapping(run.config.get(key)) for key in ("model", "data"))
    made, planned = iterations(run), _configured(run)
    length = f"{made:,}" if made is not None else ""
    if made is not None and planned is not None and made < planned:
        length += f" of {planned:,}"
    weights = ", ".join(
        f"{key.removeprefix('lambda_')} {plain(value)}"
        for key, value in model.items()
        if key.startswith("lambda_") and as_number(value) is not None
    )
    size = _first(data, "image_size", "size", "crop_size", "crop", "resolution", "load_size")
    rows = [
        ("Model", _class_name(model)),
        ("Data", data_name(run)),
        ("Image size", _size(size)),
        ("Iterations", length),
        ("Batch size", _shown(_first(data, "batch_size"))),
        ("Generator", _network(model.get("generator"))),
        ("Discriminator", _network(model.get("discriminator"))),
        ("Loss weights", weights),
        ("Seed", "" if run.config.get("seed") is None else str(run.config["seed"])),
    ]
    return [(key, value) for key, value in rows if value]


def cost_rows(record: dict[str, Any]) -> list[tuple[str, str]]:
    """Returns the lines of the cost table: the known ones first, then whatever else is recorded."""
    left = dict(record)
    rows = []
    for key, label in (("device", "Device"), ("iterations", "Iterations")):
        rows.append((label, _shown(left.pop(key, None))))
    rows.append(("Time", _duration(as_number(left.pop("seconds", None)))))
    speed, memory = as_number(left.pop("images_per_s", None)), as_number(left.pop("peak_memory_gb", None))
    rows.append(("Speed", "" if speed is None else f"{speed:,.1f} images per second"))
    rows.append(("Peak memory", "" if memory is None else f"{memory:,.1f} GB"))
    for name, count in as_mapping(left.pop("parameters", None)).items():
        rows.append((f"Parameters of {name}", f"{count:,}" if isinstance(count, int) else plain(count)))
    rows.append(("Ended", _shown(left.pop("stopped", None))))
    for key, label in (("gan_style", "gan_style"), ("torch", "PyTorch"), ("python", "Python")):
        rows.append((label, _shown(left.pop(key, None))))
    rows += [(key, plain(value)) for key, value in left.items()]
    return [(key, value) for key, value in rows if value]


def _class_name(section: dict[str, Any]) -> str:
    return str(section.get("_target_") or "").split(".")[-1]


def _first(section: dict[str, Any], *keys: str) -> object:
    return next((section[key] for key in keys if section.get(key) is not None), None)


def _shown(value: object) -> str:
    return "" if value is None else plain(value)


def _size(value: object) -> str:
    if isinstance(value, list):
        return f" {_TIMES} ".join(plain(item) for item in value)
    return f"{value} {_TIMES} {value}" if isinstance(value, int) else _shown(value)


def _network(value: object) -> str:
    section = as_mapping(value)
    if not section:
        return _shown(value)
    options = [
        f"{key} {plain(item)}"
        for key, item in section.items()
        if key == "norm" or (isinstance(item, int) and not isinstance(item, bool))
    ]
    name = _class_name(section) or str(section.get("name") or "")
    return f"{name} ({', '.join(options)})" if name and options else name or ", ".join(options)


def _configured(run: Run) -> int | None:
    for section in ("trainer", "train"):
        settings = as_mapping(run.config.get(section))
        value = as_number(_first(settings, "iterations", "max_iterations", "max_steps", "total_iterations"))
        if value is not None and value > 0:
            return round(value)
    value = as_number(run.config.get("iterations"))
    return round(value) if value is not None else None


def _duration(seconds: float | None) -> str:
    if seconds is None:
        return ""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"
