"""Lengths of drawn contours keep to their budget, and the stated uncertainty holds the true length."""

from __future__ import annotations

import numpy as np
import pytest

from calcreport.calcification.size import farthest_pair
from tests.accuracy.run_contours import DRAWINGS, Drawing, faults, figures
