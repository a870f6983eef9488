"""Things on a film that are no part of the patient: a lead letter, burned-in text, the collimator's border."""

from __future__ import annotations

from types import MappingProxyType
from typing import Final

import numpy as np
from numpy.typing import NDArray

from calcphantom.film.recipe import Collimation

_LETTERS: Final = MappingProxyType(
    {
        "R": ("11110", "10001", "10001", "11110", "10100", "10010", "10001"),
        "L": ("10000", "10000", "10000", "10000", "10000", "10000", "11111"),
        "A": ("01110", "10001", "10001", "11111", "10001", "10001", "10001"),
        "P": ("11110", "10001", "10001", "11110", "10000", "10000", "10000"),
        "T": ("11111", "00100", "00100", "00100", "00100", "00100", "00100"),
        "1": ("00100", "01100", "00100", "00100", "00100", "00100", "01110"),
        "6": ("01110", "10000", "10000", "11110", "10001", "10001", "01110"),
        "0": ("01110", "10001", "10011", "10101", "11001", "10001", "01110"),
        "K": ("10001", "10010", "10100", "11000", "10100", "10010", "10001"),
        "V": ("10001", "10001", "10001", "10001", "10001", "01010", "00100"),
        " ": ("00000",) * 7,
    }
)
"""Letters of seven rows of five dots."""


def letters(text: str, *, dot: int) -> NDArray[np.bool_]:
    """Draw text of known letters; `dot` is the size of a dot in pixels."""
    glyphs = [np.array([[c == "1" for c in row] for row in _LETTERS[t]]) for t in text]
    spaced = np.concatenate([np.pad(g, ((0, 0), (0, 1))) for g in glyphs], axis=1)
    return np.asarray(np.kron(spaced, np.ones((dot, dot), dtype=bool)), dtype=np.bool_)


def empty_place(
    blocked: NDArray[np.bool_], size: tuple[int, int], rng: np.random.Generator, *, margin: int
) -> tuple[int, int] | None:
    """Top left corner of a free rectangle near a random corner of the film; ``None`` when all corners are taken.

    Parameters
    ----------
    blocked : NDArray[np.bool_]
        Where nothing may lie.
    size : tuple[int, int]
        Rows and columns.
    rng : np.random.Generator
        Draws the corner.
    margin : int
        Pixels kept free around.
    """
    n_rows, n_columns = blocked.shape
    height, width = size[0] + 2 * margin, size[1] + 2 * margin
    for corner in rng.permutation(4):
        top = margin if corner < 2 else n_rows - height - margin
        left = margin if corner % 2 else n_columns - width - margin
        for slide in range(0, n_rows // 3, max(1, n_rows // 24)):
            row = top + slide if corner < 2 else top - slide
            if row < 0 or left < 0 or row + height > n_rows or left + width > n_columns:
                continue
            if not blocked[row : row + height, left : left + width].any():
                return row + margin, left + margin
    return None


def collimator_border(
    kind: Collimation, shape: tuple[int, int], rng: np.random.Generator, *, pixel_mm: float
) -> tuple[int, int, int, int] | None:
    """Draw the unexposed border in pixels: top, bottom, left, right; ``None`` without one."""
    if kind is Collimation.NONE:
        return None
    top, bottom, left, right = (round(v / pixel_mm) for v in rng.uniform(3.0, 9.0, 4))
    return min(top, shape[0] // 8), min(bottom, shape[0] // 8), min(left, shape[1] // 8), min(right, shape[1] // 8)
