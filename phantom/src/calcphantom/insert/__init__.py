"""Phantom lesions put into real CT studies: the background is a patient's, the truth is analytic."""

from __future__ import annotations

from calcphantom.insert.host import Host, HostError, read_host, write_host
from calcphantom.insert.kinds import KINDS, ROUGH_KINDS
from calcphantom.insert.lesions import Inserted, InsertedLesion, Wish, insert_lesions
from calcphantom.insert.tissue import Tissue, TissueMap, map_tissues

__all__ = [
    "KINDS",
    "ROUGH_KINDS",
    "Host",
    "HostError",
    "Inserted",
    "InsertedLesion",
    "Tissue",
    "TissueMap",
    "Wish",
    "insert_lesions",
    "map_tissues",
    "read_host",
    "write_host",
]
