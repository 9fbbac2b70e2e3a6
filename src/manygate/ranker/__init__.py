"""The Python interface: Ranker, compare, tune and inspect."""

from manygate.ranker.compare_keywords import compare
from manygate.ranker.comparison import Comparison
from manygate.ranker.inspection import Inspection, inspect
from manygate.ranker.ranker import Ranker
from manygate.ranker.tune_keywords import tune
from manygate.ranker.tuning import Tuning

__all__ = ["Comparison", "Inspection", "Ranker", "Tuning", "compare", "inspect", "tune"]
