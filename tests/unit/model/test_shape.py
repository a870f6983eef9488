"""Packed masks and derived UIDs."""

import base64
import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from pydicom.uid import UID

from calcreport.model.shape import PackedMask, pack_mask, unpack_mask
from calcreport.model.uids import derive_uid


@given(hnp.arrays(np.bool_, hnp.array_shapes(min_dims=2, max_dims=3, max_side=9)))
def test_a_mask_comes_back_as_it_was(cells) -> None:
    packed = pack_mask((1,) * cells.ndim, cells)
    np.testing.assert_array_equal(unpack_mask(PackedMask.model_validate_json(packed.model_dump_json())), cells)


@pytest.mark.parametrize(
    "bits",
    ["AAAA", "é", base64.b64encode(zlib.compress(b"")).decode(), base64.b64encode(zlib.compress(bytes(9))).decode()],
)
def test_damage_is_named(bits) -> None:
    with pytest.raises(ValueError, match="mask"):
        unpack_mask(PackedMask(offset=(0, 0), shape=(8, 8), bits=bits))


def test_an_impossible_box_is_refused_before_memory_is_taken() -> None:
    with pytest.raises(ValueError, match="impossible"):
        unpack_mask(PackedMask(offset=(0, 0), shape=(10**7, 10**7), bits=""))


def test_a_bomb_is_not_inflated() -> None:
    bomb = base64.b64encode(zlib.compress(bytes(50_000_000))).decode()
    with pytest.raises(ValueError, match="fill"):
        unpack_mask(PackedMask(offset=(0, 0), shape=(8, 8), bits=bomb))


@given(st.lists(st.text(), max_size=4), st.lists(st.text(), max_size=4))
def test_different_parts_have_different_uids(one, other) -> None:
    uid = derive_uid(*one)
    assert UID(uid).is_valid
    assert len(uid) <= 44
    assert (uid == derive_uid(*other)) == (one == other)
