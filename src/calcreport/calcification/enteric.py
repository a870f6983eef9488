"""Contrast medium in bowel and bladder: homogeneous fluid of contrast density among fat and gas."""

from __future__ import annotations

from typing import Final

from calcreport.calcification.foci import Focus
from calcreport.calcification.scene import Scene

RAISED_HU: Final = 250.0  # From here on limits are raised above blood, and what is fainter is seen in part at most
MIN_POOL_MM3: Final = 150.0  # Smaller pools of enteric contrast are left to the reader
MAX_POOL_HU: Final = 450.0
"""Denser than this, no enteric or urinary contrast is taken for granted, but for even fluid in fat with much gas
against it (`MIN_SHRED_GAS_SHARE`)."""
BLADDER_MM: Final = 28.0  # Even fluid this thick is a filled organ; mineral of that size is uneven or layered
GAS_REACH_MM: Final = 60.0  # Fluid without gas against it is bowel where gas lies this near or the scan cuts it
MIN_GAS_SHARE: Final = 0.02  # share of the surroundings of fluid that is gas against it
MIN_POOL_WITH_GAS_MM: Final = 6.0  # Homogeneous fluid with gas against it is bowel content from this thickness on
# without gas, bowel and bladder are filled round; a sheet or a shell of this density is mineral
MIN_POOL_THICKNESS_MM: Final = 8.0
MAX_POOL_BACKGROUND_HU: Final = 15.0  # ... and lie in fat
DENSE_POOL_HU: Final = 300.0  # density that dilute enteric contrast seldom has; see `MIN_DENSE_POOL_MM3`
MIN_DENSE_POOL_MM3: Final = 2_000.0
"""Without gas, a pool denser than dilute enteric contrast usually is must be this large: a small ball is mineral."""
MIN_LOOP_MM: Final = 10.0  # thickness of a filled loop with gas in it
LOOP_ROUGHNESS: Final = 0.3  # bubbles roughen it by this share of its density
MIN_SHRED_GAS_SHARE: Final = 0.05  # share of gas around such shreds; see `SHRED_HU`
SHRED_HU: Final = 50.0  # Fluid less than this above a raised limit is seen in shreds of its densest part
FLUID_STEP_HU: Final = 80.0  # Surroundings less than this below the limit are the same fluid
TRUNK_REACH_MM: Final = 150.0  # Bladder and bowel have some gas of the bowel this near
LOOP_GAP_MM: Final = 20.0  # Loops of bowel lie this close to each other


def is_contrast_pool(scene: Scene, focus: Focus) -> bool:
    """Homogeneous fluid of contrast density among fat and gas: bowel or bladder, not mineral."""
    if focus.thickness_mm >= BLADDER_MM and focus.spread_hu < 1.3 * scene.noise_hu + 8:
        return True
    # Gas bubbles and the ends of the scan roughen bowel content; mineral in fat with gas against it is not expected.
    is_in_bowel = focus.gas_fraction > MIN_GAS_SHARE and focus.background_hu < 0 and focus.thickness_mm >= MIN_LOOP_MM
    even_hu = 1.6 * scene.noise_hu + 10
    if focus.core_hu < MAX_POOL_HU:
        is_homogeneous = focus.spread_hu < max(even_hu, LOOP_ROUGHNESS * focus.core_hu if is_in_bowel else 0.0)
    else:
        is_under_gas = focus.gas_fraction > MIN_SHRED_GAS_SHARE and focus.background_hu < 0
        is_homogeneous = is_under_gas and focus.spread_hu < even_hu
    return is_homogeneous and focus.volume_mm3 >= MIN_POOL_MM3 and _lies_like_bowel(scene, focus)


def _lies_like_bowel(scene: Scene, focus: Focus) -> bool:
    """Whether homogeneous fluid has the gas, the fluid or the fat around it that bowel and bladder have."""
    # Of fluid hardly denser than a raised limit only the densest part is seen, in shreds with more fluid around.
    is_shred = scene.limits.grow >= RAISED_HU and focus.core_hu < scene.limits.grow + SHRED_HU
    # Where no gas is near there is no bowel: faint mineral of a limb shades off just so.
    is_in_trunk = scene.is_near(focus.component, scene.gas, TRUNK_REACH_MM, along_mm=TRUNK_REACH_MM)
    lies_in_fluid = is_in_trunk and focus.background_hu >= scene.limits.grow - FLUID_STEP_HU
    if is_shred and (focus.gas_fraction > MIN_SHRED_GAS_SHARE or lies_in_fluid):
        return True
    if focus.gas_fraction > MIN_GAS_SHARE and focus.thickness_mm >= MIN_POOL_WITH_GAS_MM:
        return True
    # Without gas against it, only a round pool among fat is taken for bowel, and never one near the skin.
    is_dense = focus.core_hu > DENSE_POOL_HU and focus.volume_mm3 < MIN_DENSE_POOL_MM3
    is_round = focus.thickness_mm >= MIN_POOL_THICKNESS_MM and (focus.touches_border or not is_dense)
    if not is_round or focus.air_fraction > 0 or focus.background_hu > MAX_POOL_BACKGROUND_HU:
        return False
    return focus.touches_border or scene.is_near(focus.component, scene.gas, GAS_REACH_MM, along_mm=GAS_REACH_MM)


def beside_pools(scene: Scene, foci: list[Focus], pools: list[int]) -> list[Focus]:
    """Foci cut by the scan close to enteric contrast (`pools`), no denser: the next loop of the same bowel."""
    around, densest = scene.mark(pools), max((float(scene.components.peak_hu[i]) for i in pools), default=0.0)
    cut = [f for f in foci if f.touches_border and f.peak_hu <= densest]
    return [f for f in cut if scene.is_near(f.component, around, LOOP_GAP_MM, along_mm=LOOP_GAP_MM)]
