"""Hounsfield units to linear attenuation at the effective energy of a radiograph.

Mass attenuation coefficients are those of the NIST tables of Hubbell and Seltzer (NISTIR 5632) for water and titanium
and for the ICRU-44 compositions of adipose tissue, skeletal muscle and cortical bone. The scenes are described in HU of
a 120 kV scan, whose effective energy is taken as 70 keV. A density between two of these materials is a mixture of both;
everything denser than muscle is muscle with bone mineral, everything above `METAL_FROM_HU` titanium.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import Final

import numpy as np

from calcphantom.shapes import Floats

CT_ENERGY_KEV: Final = 70.0
"""Effective energy that the HU of the scenes are those of, keV."""
METAL_FROM_HU: Final = 5000.0
"""Nothing in a body is denser; from here on it is metal."""

_ENERGIES_KEV: Final = np.array([30.0, 40.0, 50.0, 60.0, 80.0])
_MATERIALS: Final = MappingProxyType(
    {
        "water": (1.00, (0.3756, 0.2683, 0.2269, 0.2059, 0.1837)),
        "adipose": (0.95, (0.3063, 0.2396, 0.2123, 0.1974, 0.1800)),
        "muscle": (1.05, (0.3783, 0.2688, 0.2262, 0.2048, 0.1823)),
        "bone": (1.92, (1.331, 0.6655, 0.4242, 0.3148, 0.2229)),
        "titanium": (4.51, (4.972, 2.214, 1.213, 0.7661, 0.4052)),
    }
)
"""Density in g/cm3 and mass attenuation coefficients in cm2/g at `_ENERGIES_KEV`."""


def material_per_mm(name: str, energy_kev: float) -> float:
    """Linear attenuation of a pure material in 1/mm at an energy in keV, interpolated in double logarithms."""
    density, mass = _MATERIALS[name]
    return 0.1 * density * float(np.exp(np.interp(np.log(energy_kev), np.log(_ENERGIES_KEV), np.log(mass))))


def attenuation_per_mm(hu: Floats | float, energy_kev: float) -> Floats:
    """Linear attenuation.

    Parameters
    ----------
    hu : NDArray[np.float64] | float
        Density, HU of a 120 kV scan; any shape.
    energy_kev : float
        Effective energy of the film, 30 to 80 keV.

    Returns
    -------
    NDArray[np.float64]
        1/mm, same shape; 0 for air.
    """
    water = material_per_mm("water", CT_ENERGY_KEV)
    knots = [-1000.0] + [
        1000.0 * (material_per_mm(n, CT_ENERGY_KEV) / water - 1) for n in ("adipose", "muscle", "bone")
    ]
    values = [0.0] + [material_per_mm(n, energy_kev) for n in ("adipose", "muscle", "bone")]
    slope = (values[3] - values[2]) / (knots[3] - knots[2])
    knots.append(METAL_FROM_HU)
    values.append(values[3] + slope * (METAL_FROM_HU - knots[3]))
    within = np.interp(hu, knots, values)
    return np.where(np.asarray(hu) >= METAL_FROM_HU, material_per_mm("titanium", energy_kev), within)
