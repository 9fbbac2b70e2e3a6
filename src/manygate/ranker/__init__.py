"""The Python interface: Ranker, compare and inspect."""

from manygate.ranker.compare_keywords import compare
from manygate.ranker.comparison import Comparison
from manygate.ranker.inspection import Inspection, inspect
from manygate.ranker.ranker import Ranker

__all__ = ["Comparison", "Inspection", "Ranker", "compare", "inspect"]
