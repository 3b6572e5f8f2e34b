"""The processes of a run: Lightning's DistributedDataParallel, around each player in place of the whole model."""

from __future__ import annotations

from typing import Any

from pytorch_lightning.strategies import DDPStrategy, StrategyRegistry

from gan_style.core.errors import UserError, did_you_mean
from gan_style.training.engine.batch_norm import agree_on_statistics
from gan_style.training.engine.engine import engine_of, method_of
from gan_style.training.engine.players import Player, same_start, settle_buckets


class DDPPerPlayer(DDPStrategy):
    """Lightning's processes, with one DistributedDataParallel per player of an `Engine`.

    Around the whole model it would send the other player's gradients in every turn, too.

    Args:
        **options: of `DDPStrategy`; others go to DistributedDataParallel.
    """

    def configure_ddp(self) -> None:
        """Wrap each player; Lightning calls it when the model is on its device."""
        assert self.lightning_module is not None
        engine = engine_of(self.lightning_module)
        same_start(engine)
        self._ddp_kwargs.setdefault("gradient_as_bucket_view", True)
        self._ddp_kwargs.setdefault("find_unused_parameters", engine.method.find_unused_parameters)
        for player in engine.method.players():
            trained = [parameter for parameter in engine.method.parameters_of(player) if parameter.requires_grad]
            engine.wrapped[player] = self._setup_model(Player(trained))
            settle_buckets(engine.wrapped[player])

    def training_step(self, *args: Any, **kwargs: Any) -> Any:
        """Make one iteration, after which batch norms of all processes have learned the same."""
        output = super().training_step(*args, **kwargs)
        assert self.lightning_module is not None
        agree_on_statistics(method_of(self.lightning_module))
        return output


def strategy_of(name: str | None, processes: int) -> DDPPerPlayer | str:
    """Return the strategy, or Lightning's name of one, for the name in a config.

    Args:
        name: null is ours where there are several processes.
        processes: of the whole run.

    Raises:
        UserError: there is no such strategy, or it cannot train two players.
    """
    if name in (None, "auto"):
        return DDPPerPlayer() if processes > 1 else "auto"
    if name == "single_device" and processes == 1:
        return name
    fitting = ["ddp", "ddp_find_unused_parameters_false", "ddp_find_unused_parameters_true"]
    if name in fitting:
        return DDPPerPlayer(**StrategyRegistry[name]["init_params"])
    take = "take trainer.strategy=ddp, or leave it out"
    if name not in StrategyRegistry:
        raise UserError(f"trainer.strategy={name} is no strategy of Lightning{did_you_mean(str(name), fitting)}")
    if StrategyRegistry[name]["strategy"] is DDPStrategy:
        raise UserError(
            f"trainer.strategy={name} would train in copies of this process, which then knows neither their state nor "
            f"how they ended: {take}"
        )
    raise UserError(
        f"trainer.strategy={name} is not for {processes} process{'es' if processes > 1 else ''} in which players take "
        f"turns and each holds the whole model: {take}; trainer.checkpointing=true and bf16-mixed save memory"
    )
