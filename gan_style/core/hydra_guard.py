"""Checks of Hydra's own config before Hydra acts on it: only what the docs name is let through.

Hydra instantiates `hydra.callbacks`, `hydra.launcher` and `hydra.sweeper`, hands two nodes to `logging.config`, sets
the variables of `hydra.job.env_set`, and imports packages of `hydra.searchpath`. Each of them can name any code.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NoReturn

from hydra import version
from hydra._internal import hydra as hydra_main
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.utils import create_config_search_path, get_args_parser
from hydra.core.config_search_path import SearchPathQuery
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.singleton import Singleton
from hydra.errors import HydraException
from hydra.version import VersionBase
from omegaconf import DictConfig, ListConfig, OmegaConf

from gan_style.core.config import config_dir
from gan_style.core.errors import UserError, did_you_mean
from gan_style.core.moved import renamed
from gan_style.core.paths import absent, printable
from gan_style.core.terminal import warn
from gan_style.core.version import __version__

SUBMITIT = "hydra_plugins.hydra_submitit_launcher.submitit_launcher"
LAUNCHERS = (
    "hydra._internal.core_plugins.basic_launcher.BasicLauncher",
    f"{SUBMITIT}.LocalLauncher",
    f"{SUBMITIT}.SlurmLauncher",
)
SWEEPERS = ("hydra._internal.core_plugins.basic_sweeper.BasicSweeper",)
LOG_CLASSES = ("logging.StreamHandler", "logging.FileHandler", "logging.NullHandler", "logging.Formatter")
LOG_STREAMS = ("ext://sys.stdout", "ext://sys.stderr")
BUILT_NODES = ("launcher", "sweeper", "job_logging", "hydra_logging")  # of which Hydra builds objects
# The interpolations that the YAML of Hydra and of submitit's launchers uses in them: all resolve to texts. Any other
# one could resolve to a node that names code, and for some, such as ${oc.create:${hydra:job.name}}, the value is known
# too late to be checked.
REFERENCES = re.compile(r"\$\{hydra\.(runtime\.output_dir|job\.(name|num|id)|(run|sweep)\.(dir|subdir))\}")
RERUN = "--experimental-rerun"


class _GuardedLoader(ConfigLoaderImpl):
    """Hydra's config loader, which checks every config that it returns, and understands old keys of ours."""

    _refused: UserError | None = None

    def load_configuration(
        self, config_name: str | None, overrides: list[str], *args: Any, **kwargs: Any
    ) -> DictConfig:
        if self._refused:  # Hydra composes once to learn the mode, and drops what is raised then
            raise self._refused
        overrides, notes = renamed(overrides)
        config = super().load_configuration(config_name, overrides, *args, **kwargs)
        try:
            require_harmless(config.hydra, overrides)
        except UserError as error:
            self._refused = error
            raise
        for note in notes:
            warn(f"gan_style: {note}")
        return config

    def _process_config_searchpath(self, config_name: str | None, parsed_overrides: Any, repo: Any) -> None:
        # Checked before Hydra reads it: looking for files of a package imports that package.
        main = repo.load_config(config_path=config_name) if config_name else None
        given = OmegaConf.select(main.config, "hydra.searchpath") if main else None
        added = [one.value() for one in parsed_overrides if one.get_key_element() == "hydra.searchpath"]
        for path in [*_texts(given), *_texts(added)]:
            if not path.startswith(("file://", "/", ".")):
                raise UserError(
                    f"hydra.searchpath={printable(path)} is not taken: give folders, as file://FOLDER, or --config-dir"
                )
        super()._process_config_searchpath(config_name, parsed_overrides, repo)


def guard_hydra(arguments: Sequence[str]) -> argparse.Namespace:
    """Make Hydra, in this process, parse as the verbs do, and check its own config before it acts on it.

    Args:
        arguments: of the command line.

    Returns:
        What Hydra will make of them: `overrides`, `help`, `config_dir`, ...

    Raises:
        UserError: they hold the flag of Hydra that unpickles a file, a key that is written as an option, or an option
            that is not known.
    """
    keys = {path.stem for path in config_dir().iterdir()}
    keys |= set(re.findall(r"^(\w+):", (config_dir() / "train.yaml").read_text(encoding="utf-8"), re.MULTILINE))
    for argument in arguments:
        flag = argument.partition("=")[0]
        key = flag.lstrip("-").replace("-", "_")
        if flag.startswith("-") and key.partition(".")[0] in keys:
            raise UserError(f"{flag} is no option: keys are written without dashes, as {key}=VALUE")
        if flag.startswith("--e") and RERUN.startswith(flag):  # argparse accepts any prefix of it
            raise UserError(f"{RERUN} is not taken: it unpickles a file, which can run code; go on with resume=PATH")
    parsed = _known(arguments)
    hydra_main.ConfigLoaderImpl = _GuardedLoader  # type: ignore[misc]
    importlib.import_module("hydra.main").get_args_parser = _parser  # type: ignore[attr-defined]
    return parsed


def _parser() -> argparse.ArgumentParser:
    """Return Hydra's parser, which would print its usage at a mistake, and take no overrides after an option."""
    parser = _hydras_own()

    def refuse(message: str) -> NoReturn:
        raise UserError(f"{message.removeprefix('argument ')}: see --help, and --hydra-help for options of Hydra")

    parser.error = refuse  # type: ignore[method-assign]
    parser.parse_args = parser.parse_intermixed_args  # type: ignore[method-assign]
    shown: Any = parser._option_string_actions["--version"]
    shown.version, shown.help = __version__, "Show the version of gan_style and exit"
    return parser


def _hydras_own() -> argparse.ArgumentParser:
    """Return the parser that Hydra makes.

    From Python 3.14 on argparse checks each help as it is added. That of Hydra 1.3's --shell-completion is an object
    with a text, which it takes for a mistake: no command would start.
    """
    argparse.ArgumentParser._check_help = lambda self, action: None  # type: ignore[attr-defined]
    try:
        parser = get_args_parser()
    finally:
        del argparse.ArgumentParser._check_help  # type: ignore[attr-defined]
    for action in parser._actions:
        if action.help is not None and not isinstance(action.help, str):
            action.help = "Install or uninstall the completion of a shell"
    return parser


def _known(arguments: Sequence[str]) -> argparse.Namespace:
    """Parse the arguments; raise a UserError for an option that is not known."""
    parser = _parser()
    parsed, left = parser.parse_known_intermixed_args([*arguments])
    if unknown := [one for one in left if one.startswith("-")]:
        options = [one for one in parser._option_string_actions if one.startswith("--") and one != RERUN]
        near = did_you_mean(unknown[0], [*options, "--quiet"])
        if "=" in unknown[0] or "did you mean" not in near:
            near = ": a key is written without dashes, as seed=1; see --help"
        raise UserError(f"{unknown[0]} is no option of train{near}")
    return parsed


@contextlib.contextmanager
def composing(folder: Path, *more: Path) -> Iterator[None]:
    """Let `hydra.compose` read these folders of configs inside a `with` block, checked as those of a command.

    Hydra keeps its state in the process: that of a program around us is restored after the block.

    Args:
        folder: of our configs.
        more: of the user's, as `--config-dir` names one; what stands in them comes first.

    Raises:
        UserError: there is no such folder.
    """
    for one in more:
        if not one.is_dir():
            raise UserError(f"there is no folder of configs {absent(one)}: check its name")
    ours: tuple[type, ...] = (GlobalHydra, HydraConfig, VersionBase)
    before = {kind: Singleton._instances.pop(kind) for kind in ours if kind in Singleton._instances}
    try:
        version.setbase("1.3")
        paths = create_config_search_path(str(folder))
        for one in more:
            paths.prepend("command-line", f"file://{one.absolute()}", anchor=SearchPathQuery(provider="schema"))
        loader = _GuardedLoader(config_search_path=paths)
        GlobalHydra.instance().initialize(hydra_main.Hydra(task_name="train", config_loader=loader))
        yield
    finally:
        for kind in ours:
            Singleton._instances.pop(kind, None)
        Singleton._instances |= before


def require_harmless(node: DictConfig, overrides: Sequence[str]) -> None:
    """Raise a UserError if Hydra's node of a composed config names code or settings that the docs do not name.

    Args:
        node: Hydra's, of a composed config.
        overrides: that it was composed of.
    """
    _require_typed(node, overrides)
    if node.get("callbacks"):
        raise UserError("hydra.callbacks is not taken: they would run before anything is checked; use callbacks=")
    for part in BUILT_NODES:
        _require_plain_texts(node, part)
    for part, known in (("launcher", LAUNCHERS), ("sweeper", SWEEPERS)):
        targets = [value for path, value in _leaves(node, part) if path.endswith("._target_")]
        if len(targets) > 1 or any(one not in known for one in targets):
            raise UserError(
                f"hydra.{part}._target_={printable(str(targets[-1]))} is not taken: choose a hydra/{part} of the docs"
            )
    if node.job.get("env_set"):
        raise UserError("hydra.job.env_set is not taken: set variables of the environment before the command")
    for part in ("job_logging", "hydra_logging"):
        for path, value in _leaves(node, part):
            made = path.endswith((".class", ".()")) and value not in LOG_CLASSES
            if made or (isinstance(value, str) and "://" in value and value not in LOG_STREAMS):
                raise UserError(
                    f"hydra.{printable(path)}={printable(str(value))} is not taken: choose one of Hydra's hydra/{part}"
                )


def require_own_allow(allow: Any, words: Sequence[str]) -> None:
    """Raise a UserError if a config file sets `allow`: only the command line may, by the user's own decision.

    Args:
        allow: of the composed config.
        words: that the user typed, or that the caller gave; never what Hydra noted of them, which a file can fill.
    """
    added = [one for one in _listed(allow) if one not in named_packages(words)]
    if added:
        packages = printable(",".join(added))
        raise UserError(f"allow=[{packages}] stands in a file, where it is not taken: add it to the command")


def named_packages(words: Sequence[str]) -> list[str]:
    """List the packages that `allow=` names among the words of a command, those of all jobs of a multirun."""
    parser = OverridesParser.create()
    found = []
    for word in words:
        if not word.lstrip("+").startswith("allow="):
            continue
        with contextlib.suppress(HydraException, ValueError):  # which Hydra says when it composes
            given = parser.parse_override(word)
            texts = given.sweep_string_iterator() if given.is_sweep_override() else [word.partition("=")[2]]
            for text in texts:
                found += _listed(parser.parse_override(f"allow={text}").value())
    return found


def _listed(value: Any) -> list[str]:
    """List what `allow` holds: one name or several."""
    if value is None:
        return []
    return [str(one) for one in value] if isinstance(value, list) else [str(value)]


def _require_typed(node: Any, overrides: Sequence[str]) -> None:
    """Raise a UserError if a file sets what only the command may: Hydra's note of the words, its mode, or `allow`."""
    noted = OmegaConf.to_container(node.overrides, resolve=False)
    if sorted(map(str, [*noted["hydra"], *noted["task"]])) != sorted(overrides):  # type: ignore[call-overload, index]
        raise UserError("hydra.overrides is not taken: Hydra notes the words of the command there")
    keys = [one.get_key_element() for one in OverridesParser.create().parse_overrides([*overrides])]
    if node.get("mode") is not None and not any(key.lstrip("+") == "hydra.mode" for key in keys):
        raise UserError("hydra.mode is not taken from a file: add -m to the command for several runs")
    if any(re.match(r"sweeper\.params\.[+~]*allow\b", path) for path, _ in _leaves(node, "sweeper")):
        raise UserError("hydra.sweeper.params.allow is not taken: add allow=[...] to the command")


def _require_plain_texts(node: Any, part: str) -> None:
    """Raise a UserError if a part holds an interpolation other than the few that are known to be harmless."""
    if OmegaConf.is_interpolation(node, part):
        raise UserError(f"hydra.{part} refers to another node, which Hydra would build: write it out")
    for path, value in _leaves(node, part):
        if isinstance(value, str) and "${" in REFERENCES.sub("", value):
            raise UserError(f"hydra.{printable(path)} refers to another node, which Hydra would build: write it out")


def _leaves(node: Any, part: str) -> Iterator[tuple[str, Any]]:
    """Yield path and value of each leaf below a part as written: no interpolation is resolved."""
    given = node.get(part)
    left: list[tuple[str, Any]] = [
        (part, OmegaConf.to_container(given, resolve=False) if OmegaConf.is_config(given) else given)
    ]
    while left:
        path, value = left.pop()
        if isinstance(value, dict | list):
            inner = value.items() if isinstance(value, dict) else enumerate(value)
            left += reversed([(f"{path}.{key}", one) for key, one in inner])
        else:
            yield path, value


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, (list, tuple, ListConfig)):
        for one in value:
            yield from _texts(one)
