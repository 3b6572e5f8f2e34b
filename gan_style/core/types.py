"""Numbers with their bounds, and words with their choices: other values are refused by name (core/config.py)."""

from typing import Annotated, Literal

from annotated_types import Ge, Gt, Interval
from pydantic import AllowInfNan

Count = Annotated[int, Ge(1)]
CountOrNone = Annotated[int, Ge(0)]  # 0 means none of it
Levels = Annotated[int, Interval(ge=1, le=16)]  # halvings of a picture: 16 of one of 65,536 pixels a side
Weight = Annotated[float, Ge(0), AllowInfNan(False)]
Positive = Annotated[float, Gt(0), AllowInfNan(False)]
Share = Annotated[float, Interval(ge=0, le=1)]
Wrap = Literal["x", "y", "xy"]  # directions in which pictures go round: left to right, top to bottom
Seed = Annotated[int, Interval(ge=0, lt=2**63)]

# See losses/adversarial.py.
GanMode = Literal["lsgan", "lsgan_sum", "vanilla", "nonsaturating", "hinge", "hinge_both", "wgan", "relativistic"]
