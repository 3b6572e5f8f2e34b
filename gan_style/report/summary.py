"""The facts of a run: what was trained on what, for how long, and what it cost."""

from typing import Any

from gan_style.core.sizes import height_width, parsed
from gan_style.report.names import plain
from gan_style.report.read import Run, as_mapping, as_number

_TIMES = "\N{MULTIPLICATION SIGN}"
_COST = {"device": "Device", "iterations": "Iterations"}
_VERSIONS = {"gan_style": "gan_style", "torch": "PyTorch", "python": "Python"}
_DATA = {"name": "Set", "about": "Pictures", "licence": "Licence", "citation": "Citation"}

Facts = list[tuple[str, str]]


def model_name(run: Run) -> str:
    """Return the name of the model's class, or "Model" where it is not known."""
    return _class_name(run.settings.get("model._target_")) or "Model"


def data_name(run: Run) -> str:
    """Return the name of the data: the named set, their folder, or their class and task."""
    known, root, target, task = (run.settings.get(f"data.{key}") for key in ("set", "root", "_target_", "task"))
    if known:
        return str(known)
    if isinstance(root, str):
        return root.replace("\\", "/").rstrip("/").split("/")[-1]
    name = _class_name(target).removesuffix("DataModule").lower()
    return f"{name}, {task}" if isinstance(task, str) else name


def iterations(run: Run) -> int | None:
    """Return how many iterations were made: as recorded, as logged, or else as configured."""
    made = as_number(run.record.get("iterations"))
    if made is None and run.metrics:
        made = max((series.x[-1] for series in run.metrics if series.x), default=None)
    return round(made) if made is not None else _configured(run)


def failure(run: Run) -> str:
    """Return how the run stopped where it did not finish, else an empty text."""
    stopped = str(run.record.get("stopped") or "finished")
    return "" if stopped == "finished" else stopped


def facts(run: Run) -> Facts:
    """Return the short summary of the configuration."""
    made, planned = iterations(run), _configured(run)
    length = f"{made:,}" if made is not None else ""
    if made is not None and planned is not None and made < planned:
        length += f" of {planned:,}"
    weights = ", ".join(
        f"{key.removeprefix('lambda_')} {plain(value)}"
        for key, value in _below(run, "model").items()
        if key.startswith("lambda_") and as_number(value) is not None
    )
    size, seed = run.settings.get("data.image_size"), run.settings.get("seed")
    rows = [
        ("Model", _class_name(run.settings.get("model._target_"))),
        ("Data", data_name(run)),
        ("Image size", _size(size)),
        ("Began from", _beginning(run)),
        ("Iterations", length),
        ("Batch size", _shown(run.settings.get("data.batch_size"))),
        ("Generator", _network(run, "model.generator")),
        ("Discriminator", _network(run, "model.discriminator")),
        ("Loss weights", weights),
        ("Seed", "" if seed is None else str(seed)),
    ]
    return [(key, value) for key, value in rows if value]


def origin(record: dict[str, Any]) -> tuple[Facts, Facts, Facts]:
    """Return the content of ``run.json``: what it cost and whatever else is recorded, the data, and the versions."""
    left = {key: value for key, value in record.items() if key not in ("best", "last")}  # these stand by the scores
    data = as_mapping(left.pop("data", None))
    versions = [(label, _shown(left.pop(key, None))) for key, label in _VERSIONS.items()]
    left.pop("init_from", None)  # stands among the facts
    cost = [(label, _shown(left.pop(key, None))) for key, label in _COST.items()]
    since = as_number(left.pop("from_iteration", None))
    duration = _duration(as_number(left.pop("seconds", None)))
    cost.append(("Time", f"{duration}, since iteration {since:,.0f}" if duration and since else duration))
    speed, memory = as_number(left.pop("images_per_s", None)), as_number(left.pop("peak_memory_gb", None))
    cost.append(("Speed", "" if speed is None else f"{speed:,.1f} images per second"))
    cost.append(("Peak memory", "" if memory is None else f"{memory:,.1f} GB"))
    for name, count in as_mapping(left.pop("parameters", None)).items():
        cost.append((f"Parameters of {name}", plain(count)))
    cost.append(("Ended", _shown(left.pop("stopped", None))))
    cost += [(key, plain(value)) for key, value in left.items()]
    named = [(label, _shown(data.get(key))) for key, label in _DATA.items()]
    if "data" in record and not data:
        named = [("Licence", "not recorded: the pictures are of no named set")]
    return _filled(cost), _filled(named), _filled(versions)


def _beginning(run: Run) -> str:
    """Return with what networks of which file a run began; of one that has not ended the file alone."""
    began = as_mapping(run.record.get("init_from"))
    if not began:
        return _shown(run.settings.get("init_from"))
    said = f"{_shown(began.get('networks'))} of {_shown(began.get('file'))} (sha256 {_shown(began.get('sha256'))[:8]})"
    return f"{said}; anew: {_shown(began['anew'])}" if began.get("anew") else said


def _filled(rows: Facts) -> Facts:
    return [(key, value) for key, value in rows if value]


def _class_name(target: object) -> str:
    return str(target or "").split(".")[-1]


def _size(value: object) -> str:
    """Return height and width of a size; one that is no size as it is."""
    size = parsed(value)
    return _shown(value) if size is None else f" {_TIMES} ".join(map(plain, height_width(size)))


def _shown(value: object) -> str:
    return "" if value is None else plain(value)


def _network(run: Run, key: str) -> str:
    options = [
        f"{option} {plain(value)}"
        for option, value in _below(run, key).items()
        if option == "norm" or (isinstance(value, int) and not isinstance(value, bool))
    ]
    name = _class_name(run.settings.get(f"{key}._target_"))
    return f"{name} ({', '.join(options)})" if name and options else name


def _below(run: Run, key: str) -> dict[str, Any]:
    """Return the settings of a part of the configuration, without those of the parts in it."""
    parts = ((full.rpartition("."), value) for full, value in run.settings.items())
    return {last: value for (before, _, last), value in parts if before == key}


def _configured(run: Run) -> int | None:
    value = as_number(run.settings.get("trainer.max_steps"))
    return None if value is None else round(value)


def _duration(seconds: float | None) -> str:
    if seconds is None:
        return ""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"
