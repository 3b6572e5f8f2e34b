"""Surfaces of a scene: the colours of rock, meadow, trees and water, by season and by camera."""

from __future__ import annotations

from dataclasses import dataclass, replace

from gan_style.data.scenes.geometry import FloatArray, float_array


@dataclass(frozen=True, eq=False)
class Surfaces:
    """Colours of the surfaces of a scene in white light, RGB in [0, 1]."""

    rock: FloatArray
    snow: FloatArray
    forest: FloatArray
    meadow: FloatArray
    conifer: FloatArray
    broadleaf: FloatArray
    earth: FloatArray
    water: FloatArray
    ice: float = 0.0  # 0: open water, 1: a lake that mirrors nothing
    patches: float = 0.30  # strength of the meadow's patches
    blades: float = 0.38  # strength of the light on single blades of grass
    meadow_tint: float = 1.0  # how much of the scene's own tint the meadow takes
    frost: float = 0.0  # snow on trees and woods, in [0, 1]


SUMMER = Surfaces(
    rock=float_array([0.47, 0.44, 0.42]),
    snow=float_array([1.0, 1.0, 1.02]),
    forest=float_array([0.15, 0.23, 0.13]),
    meadow=float_array([0.38, 0.46, 0.18]),
    conifer=float_array([0.12, 0.21, 0.11]),
    broadleaf=float_array([0.22, 0.33, 0.10]),
    earth=float_array([0.68, 0.57, 0.45]),
    water=float_array([0.22, 0.42, 0.50]),
)

# Snow lies on meadow and trees, the lake is frozen.
WINTER = Surfaces(
    rock=float_array([0.42, 0.43, 0.48]),
    snow=float_array([1.0, 1.0, 1.02]),
    forest=float_array([0.17, 0.22, 0.24]),
    meadow=float_array([0.70, 0.76, 0.86]),
    conifer=float_array([0.10, 0.16, 0.14]),
    broadleaf=float_array([0.30, 0.25, 0.22]),
    earth=float_array([0.60, 0.66, 0.76]),
    water=float_array([1.15, 1.35, 1.45]),
    ice=0.6,
    patches=0.08,
    blades=0.13,
    meadow_tint=0.15,
    frost=0.6,
)

# By moonlight the eye sees little colour: meadows are silver.
MOONLIT = replace(
    SUMMER,
    meadow=float_array([0.46, 0.54, 0.44]),
    forest=float_array([0.12, 0.18, 0.16]),
    conifer=float_array([0.07, 0.11, 0.10]),
    broadleaf=float_array([0.12, 0.18, 0.14]),
)

# As infrared colour film sees them: what is green and alive becomes crimson and pink, water turns to petrol.
INFRARED = Surfaces(
    rock=float_array([0.40, 0.47, 0.47]),
    snow=float_array([0.95, 1.0, 0.98]),
    forest=float_array([0.46, 0.07, 0.17]),
    meadow=float_array([0.74, 0.29, 0.37]),
    conifer=float_array([0.42, 0.05, 0.15]),
    broadleaf=float_array([0.68, 0.12, 0.28]),
    earth=float_array([0.62, 0.66, 0.56]),
    water=float_array([0.05, 0.36, 0.42]),
)
