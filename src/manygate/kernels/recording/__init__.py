"""A differentiable function of tensors, recorded once as the kernels that it calls, and then run without what is around them.

A training step of a small model calls a hundred kernels of some ten microseconds; between them Python, ``torch.vmap`` and autograd
take as long again. On the third call with tensors of the same shapes a :class:`Recorder` writes down every kernel of the forward
and of the backward pass, below autograd. What only describes memory is left out: a view becomes a place in the memory that it looks
at. The two lists become two plain Python functions, which call the same kernels on the same numbers in the same order, so that
results are the same to the bit; a recording is kept only if outputs and gradients equal the function's own on the tensors at hand.

A recording cannot follow what the numbers decide: a function that reads a value into Python, makes a tensor whose shape depends on
values or draws random numbers is never recorded and runs as it is, and so does one that takes much memory. Nor can it follow what
Python alone decides from call to call: a :class:`Watch` looks at one call before any is recorded, and two later calls are compared
again. ``torch.fx``'s ``make_fx`` was measured beside it twice (docs/decisions.md): it gives the same kernels, later and slower.
"""

from manygate.kernels.recording.recorder import Recorder, record
from manygate.kernels.recording.watch import Watch

__all__ = ["Recorder", "Watch", "record"]
