"""Checks for a sharing scheme and for a weighting of your own.

import manygate.testing
manygate.testing.check_architecture(MyScheme)
manygate.testing.check_weighting(MyWeighting)
"""

from manygate.testing.architecture import CHECKS, Case, check_architecture
from manygate.testing.weighting import WEIGHTING_CHECKS, WeightingCase, check_weighting

__all__ = ["CHECKS", "WEIGHTING_CHECKS", "Case", "WeightingCase", "check_architecture", "check_weighting"]
