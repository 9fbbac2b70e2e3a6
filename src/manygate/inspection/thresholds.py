"""This module holds all thresholds of an inspection.

"Healthy" refers to the values of models of seven schemes after 4 epochs on the made-up log of 40,000 rows, and of MMoE after 2
epochs on census, with two replicas each.
"""

FEWEST_ROWS = 100
"""With fewer rows, only the tasks' metrics are judged: on a handful of rows every tower is constant."""
POLARISED_WEIGHT = 0.95
"""A row is polarised if its largest gate weight is above this."""
POLARISED_ROWS = 0.5
"""A gate is polarised if this share of its task's rows is. Gate dropout is Zhao et al.'s remedy (RecSys 2019)."""
COLLAPSED_WEIGHT = 0.9
"""A gate has collapsed if one expert's mean weight is above this, and the expert is not the task's own."""
UNUSED_WEIGHT = 0.01
"""An expert is unused if its mean weight is below this (or a tenth of an even split) for every task that may use it."""
MOSTLY_ZERO = 0.9
"""HoME (KDD 2025) counts an expert as collapsed where more than this share of its ReLU outputs is zero."""
DEAD_UNITS = 0.8
"""A network is alarming if this share of a layer's units is zero on every row. Healthy towers have up to about .6."""
CONSTANT_LOGIT = 1e-6
"""A logit is constant if its range is at most this, relative to its size."""
IDENTICAL = 0.99
"""Two experts are identical if both the linear CKA and the cosine of their outputs are above this. Healthy: CKA up to .98 (census),
cosine up to .85."""
SAME_MIXTURE = 0.03
"""Two tasks use the same mixture if the total variation between their gates is below this, for the means and by row."""
CHANCE_ERRORS = 2.0
"""A metric is no better than chance if it is within this many standard errors of it."""
TELLING_ERROR = 0.1
"""Such a metric is alarming if ``CHANCE_ERRORS`` standard errors are at most this; otherwise there are too few rows to judge."""
PERFECT_AUC, HIGH_AUC = 0.999, 0.99
"""An AUC above the first number is hardly ever honest, one above the second seldom. Never married on census has 0.9947."""
CONFLICT, CONFLICT_BATCHES = -0.3, 0.9
"""Two tasks are in strong conflict in a layer if the mean cosine of their gradients is below the first and negative in at least
this share of batches. Healthy: within .1 of zero."""
COLLAPSED_RANK, FEWEST_DIMENSIONS = 1 / 3, 3
"""A table has collapsed if its effective rank, plain and by use, is below the first number as a share of the largest possible rank.
Tables with fewer possible dimensions than the second number are not judged. Healthy: above .65."""
