"""The knee of a film: shafts that widen towards the joint and end there.

The knee of the CT scenes is made of separate solids beside shafts of one width, which is enough for axial slices. On a
film every bone is seen from end to end, so the tibia is drawn out to its plateau and the femur to its shaft.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from calcphantom.scene import Body, Tube
from calcphantom.shapes import Floats, Shape

_SHELL_MM = 1.3


def smooth_step(x: Floats) -> Floats:
    """Rise smoothly from 0 at 0 to 1 at 1; same shape, no unit."""
    t = np.clip(x, 0.0, 1.0)
    return np.asarray(t * t * (3 - 2 * t))


def _oval(angle: Floats, wide_mm: float, deep_mm: float) -> Floats:
    return np.asarray(1.0 / np.sqrt((np.cos(angle) / wide_mm) ** 2 + (np.sin(angle) / deep_mm) ** 2))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Knee:
    """A knee at the upper end of a calf.

    Parameters
    ----------
    body : Body
        The limb.
    joint_z_mm : float
        Height of the joint, LPS mm.
    """

    body: Body
    joint_z_mm: float

    @property
    def replaced(self) -> Shape:
        """The solid of the CT scene that the widened tibia takes the place of."""
        return self.body.bones[len(self.body.shafts)]

    def widening(self, z: Floats) -> Floats:
        """How far a shaft is widened at heights (LPS z, mm): 0 in the shaft to 1 at the joint."""
        return smooth_step((np.asarray(z) - (self.joint_z_mm - 60.0)) / 50.0)

    def weight(self, z: Floats, shaft: int) -> Floats:
        """Part of a shaft that is there at heights (LPS z, mm): none above the plateau or the head of the fibula."""
        end = self.joint_z_mm - (5.0 if shaft == 0 else 17.0)
        return np.clip((end - np.asarray(z)) / 4.0, 0.0, 1.0)

    def widened(self, tube: Tube, shaft: int) -> Tube:
        """Return the tube of a shaft, or the marrow in it, widened towards the joint."""
        outer = self.body.shafts[shaft]
        x, y = (float(v) for v in self.body.skin.centre(np.array(self.joint_z_mm)))

        def centre(z: Floats) -> tuple[Floats, Floats]:
            cx, cy = outer.centre(z)
            s = self.widening(z) if shaft == 0 else 0.0
            return np.asarray(cx + s * (x - cx)), np.asarray(cy + s * (y - 4.0 - cy))

        def radius(angle: Floats, z: Floats) -> Floats:
            s, r = self.widening(z), outer.radius(angle, z)
            end = _oval(angle, 33.0, 23.0) if shaft == 0 else 1.5 * r
            wide = (1 - s) * r + s * end
            wall = (1 - s) * (r - tube.radius(angle, z)) + s * _SHELL_MM
            return np.asarray(wide if tube is outer else np.maximum(wide - wall, 0.5))

        return Tube(centre=centre, radius=radius, slack=1.5)

    def femur(self, *, is_marrow: bool) -> Tube:
        """Return the lower end of the femur, or the marrow in it: narrowing from the condyles to the shaft."""
        x, y = (float(v) for v in self.body.skin.centre(np.array(self.joint_z_mm)))

        def centre(z: Floats) -> tuple[Floats, Floats]:
            return np.full(np.shape(z), x), np.full(np.shape(z), y - 3.0)

        def radius(angle: Floats, z: Floats) -> Floats:
            s = smooth_step((np.asarray(z) - self.joint_z_mm - 24.0) / 45.0)
            wide = (1 - s) * _oval(angle, 31.0, 21.0) + s * 15.0
            return np.asarray(wide - ((1 - s) * _SHELL_MM + s * 4.0) if is_marrow else wide)

        return Tube(centre=centre, radius=radius, slack=1.5)

    def femur_weight(self, z: Floats) -> Floats:
        """Part of the femur's shaft that is there at heights (LPS z, mm): all above the condyles."""
        return np.clip((np.asarray(z) - self.joint_z_mm - 26.0) / 16.0, 0.0, 1.0)
