"""Weight decay: each module declares which of its parameters it spares."""

from __future__ import annotations

from torch import nn

from manygate.errors import InputError


def undecayed_parameters(module: nn.Module) -> frozenset[str]:
    """The names of the parameters that weight decay leaves alone; every other parameter decays.

    Any module inside may have an attribute ``undecayed``: the names of its own parameters, or of modules within it, all of whose
    parameters are then spared. A parameter's name decides nothing by itself.

    >>> from manygate.layers.units import Norm
    >>> sorted(undecayed_parameters(Norm(units=2, width=3)))
    ['bias', 'gain']
    >>> sorted(undecayed_parameters(nn.Linear(2, 3)))
    []
    """
    spared: set[int] = set()
    for part in module.modules():
        declared = getattr(part, "undecayed", ())
        if not isinstance(declared, tuple | list | set | frozenset) or not all(isinstance(name, str) for name in declared):
            raise InputError(f"{type(part).__name__}.undecayed: a tuple of names is needed, found {declared!r}.")
        parameters = dict(part.named_parameters(remove_duplicate=False))
        for name in declared:
            chosen = [id(value) for parameter, value in parameters.items() if parameter == name or parameter.startswith(f"{name}.")]
            if not chosen and not hasattr(part, name):
                known = ", ".join(parameters) or "none"
                raise InputError(f"{type(part).__name__}.undecayed names {name!r}, which is no parameter of it. It has: {known}.")
            spared.update(chosen)
    return frozenset(name for name, value in module.named_parameters() if id(value) in spared)
