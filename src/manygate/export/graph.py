"""A graph of ONNX operators under construction, written as expressions.

Values are NumPy-like: ``graph.input(...) + 1.0`` adds a node. So an equation in the graph reads like the same equation elsewhere.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

OPSETS = {"": 20, "ai.onnx.ml": 4, "com.microsoft": 1}
"""The version of each set of operators. ONNX Runtime 1.16 and later know them."""
IR_VERSION = 10
Number = int | float | bool


@dataclass(frozen=True)
class Value:
    """A tensor of the graph. ``kind`` is its NumPy type; object stands for text."""

    graph: Graph
    name: str
    kind: np.dtype[Any]

    def __add__(self, other: Value | Number) -> Value:
        return self.graph.op("Add", self, self._like(other))

    def __sub__(self, other: Value | Number) -> Value:
        return self.graph.op("Sub", self, self._like(other))

    def __mul__(self, other: Value | Number) -> Value:
        return self.graph.op("Mul", self, self._like(other))

    def __truediv__(self, other: Value | Number) -> Value:
        return self.graph.op("Div", self, self._like(other))

    def __lt__(self, other: Value | Number) -> Value:
        return self.graph.op("Less", self, self._like(other), kind=bool)

    def __ge__(self, other: Value | Number) -> Value:
        return self.graph.op("GreaterOrEqual", self, self._like(other), kind=bool)

    def __or__(self, other: Value) -> Value:
        return self.graph.op("Or", self, other)

    def equals(self, other: Value | Number) -> Value:
        """Return where two tensors are equal."""
        return self.graph.op("Equal", self, self._like(other), kind=bool)

    def to(self, kind: Any) -> Value:
        """Return the tensor in another type."""
        if self.kind == np.dtype(kind):
            return self
        return self.graph.op("Cast", self, kind=kind, to=helper.np_dtype_to_tensor_dtype(np.dtype(kind)))

    def unsqueeze(self, axis: int) -> Value:
        """Return the tensor with an axis more."""
        return self.graph.op("Unsqueeze", self, self.graph.constant(np.array([axis])))

    def sum(self, axis: int) -> Value:
        """Return the sum over an axis, which is gone."""
        return self.graph.op("ReduceSum", self, self.graph.constant(np.array([axis])), keepdims=0)

    def mean(self, axis: int) -> Value:
        """Return the mean over an axis, which is gone."""
        return self.graph.op("ReduceMean", self, self.graph.constant(np.array([axis])), keepdims=0)

    def at(self, index: int, axis: int) -> Value:
        """Return the tensor at one place of an axis, which is gone."""
        return self.graph.op("Gather", self, self.graph.constant(np.array(index)), axis=axis)

    def _like(self, other: Value | Number) -> Value:
        return other if isinstance(other, Value) else self.graph.constant(np.array(other, self.kind))


class Graph:
    """Nodes, constants, inputs and outputs.

    No other tensor gets the name of one of the ``outputs``.

    >>> graph = Graph()
    >>> x = graph.input("x", np.float64, ["rows"])
    >>> graph.output("y", x * 2.0 + 1.0, ["rows"])
    >>> [node.op_type for node in graph.model().graph.node]
    ['Mul', 'Add', 'Identity']
    """

    def __init__(self, outputs: Iterable[str] = ()) -> None:
        self.reserved = frozenset(outputs)
        self.nodes: list[onnx.NodeProto] = []
        self.inputs: list[onnx.ValueInfoProto] = []
        self.outputs: list[onnx.ValueInfoProto] = []
        self.constants: dict[tuple[Any, ...], tuple[str, np.ndarray]] = {}
        self.weights: list[onnx.TensorProto] = []
        self.names: set[str] = set(self.reserved)

    def input(self, name: str, kind: Any, shape: Sequence[str | int]) -> Value:
        """Add an input. Axes of a free length have names. If another tensor has the input's name, apostrophes are added to it."""
        name = self.unlike(name or "unnamed")
        self.inputs.append(helper.make_tensor_value_info(name, tensor_type(kind), shape))
        return Value(self, name, np.dtype(kind))

    def unlike(self, name: str) -> str:
        """Return a name that no other tensor has: the one given, with apostrophes if it is taken."""
        while name in self.names:
            name += "'"
        self.names.add(name)
        return name

    def further_output(self, name: str, value: Value, shape: Sequence[str | int]) -> str:
        """Add an output whose name may get apostrophes, and return its name."""
        name = self.unlike(name)
        self._output(name, value, shape)
        return name

    def output(self, name: str, value: Value, shape: Sequence[str | int]) -> None:
        """Add an output."""
        assert name in self.reserved or name not in self.names, f"two tensors are named {name}"
        self.names.add(name)
        self._output(name, value, shape)

    def _output(self, name: str, value: Value, shape: Sequence[str | int]) -> None:
        self.nodes.append(helper.make_node("Identity", [value.name], [name]))
        self.outputs.append(helper.make_tensor_value_info(name, tensor_type(value.kind), shape))

    def constant(self, array: np.ndarray) -> Value:
        """Add a constant. Equal ones are one."""
        key = (array.dtype.str, array.shape, array.tobytes())
        if key not in self.constants:
            self.constants[key] = self.fresh("constant"), array
        return Value(self, self.constants[key][0], array.dtype)

    def op(self, operator: str, *inputs: Value, kind: Any = None, domain: str = "", **attributes: Any) -> Value:
        """Add a node with one output. Its type is ``kind``, by default that of the first input."""
        name = self.fresh(operator)
        self.nodes.append(helper.make_node(operator, [value.name for value in inputs], [name], domain=domain, **attributes))
        return Value(self, name, inputs[0].kind if kind is None else np.dtype(kind))

    def split(self, value: Value, parts: int, axis: int) -> list[Value]:
        """Return a tensor in parts of equal size."""
        if parts == 1:
            return [value]
        names = [self.fresh("Split") for _ in range(parts)]
        self.nodes.append(helper.make_node("Split", [value.name], names, axis=axis, num_outputs=parts))
        return [Value(self, name, value.kind) for name in names]

    def first(self, value: Value, size: int, axis: int) -> Value:
        """Return the first places of an axis."""
        return self.op("Slice", value, *(self.constant(np.array([number])) for number in (0, size, axis)))

    def inline(self, model: onnx.ModelProto, given: Mapping[str, Value], kind: Any) -> Value:
        """Add the nodes of a model with one output, fed with the ``given`` values by the names of its inputs."""
        taken = {name: value.name for name, value in given.items()}

        def renamed(name: str) -> str:
            if name and name not in taken:
                taken[name] = self.fresh(f"network.{name}")
            return taken.get(name, "")

        for tensor in model.graph.initializer:
            weight = onnx.TensorProto()
            weight.CopyFrom(tensor)
            weight.name = renamed(tensor.name)
            self.weights.append(weight)
        for node in model.graph.node:
            copy = onnx.NodeProto()
            copy.CopyFrom(node)
            copy.ClearField("metadata_props")
            copy.input[:], copy.output[:] = map(renamed, node.input), map(renamed, node.output)
            copy.name = self.fresh(node.name or node.op_type)
            self.nodes.append(copy)
        (output,) = model.graph.output
        return Value(self, renamed(output.name), np.dtype(kind))

    def fresh(self, stem: str) -> str:
        """Return a name that no other tensor or node has."""
        number = len(self.names)
        while (name := f"{stem}_{number}") in self.names:
            number += 1
        self.names.add(name)
        return name

    def model(self) -> onnx.ModelProto:
        """Return the model."""
        constants = [numpy_helper.from_array(array, name) for name, array in self.constants.values()]
        graph = helper.make_graph(self.nodes, "manygate", self.inputs, self.outputs, [*constants, *self.weights])
        sets = [helper.make_opsetid(domain, version) for domain, version in OPSETS.items()]
        return helper.make_model(graph, opset_imports=sets, ir_version=IR_VERSION, producer_name="manygate")


def tensor_type(kind: Any) -> int:
    """Return ONNX's number of a type."""
    return onnx.TensorProto.STRING if np.dtype(kind).hasobject else helper.np_dtype_to_tensor_dtype(np.dtype(kind))


def where(condition: Value, yes: Value, no: Value) -> Value:
    """Return ``yes`` where the condition holds, and ``no`` elsewhere."""
    return condition.graph.op("Where", condition, yes, no, kind=yes.kind)


def concat(values: Sequence[Value], axis: int) -> Value:
    """Return tensors one after the other along an axis."""
    first = values[0]
    return first if len(values) == 1 else first.graph.op("Concat", *values, axis=axis)


def log1p(x: Value) -> Value:
    """Return log(1 + x) of numbers from 0 on, as exact near zero as NumPy's ``log1p`` (Goldberg 1991, theorem 4)."""
    above, one = x + 1.0, x.graph.constant(np.array(1.0))
    small = above.equals(one)
    log = x.graph.op("Log", above)
    exact = where(x >= 1e300, log, log * x / where(small, one, above - 1.0))  # from 1e300 on, the product may be infinite
    return where(small, x, exact)


def interpolate(x_MX: Value, knots: Sequence[tuple[Sequence[float], Sequence[float]]]) -> Value:
    """Interpolate each row of numbers linearly between knots (x, u) of its own, as ``np.interp`` does, (M, X) float64.

    The knots of all rows stand in one matrix, filled up with infinity. A number's piece is the count of knots at or below it. Knots
    come first in the comparison, and numbers last, so that ONNX Runtime compares and sums many at once.
    """
    graph, columns = x_MX.graph, len(knots)
    most = max(len(x) for x, _ in knots)
    x_MK, table_3MP = np.full((columns, most), np.inf), np.zeros((3, columns, most + 1))
    for m, (x, u) in enumerate(knots):
        x_K, u_K = np.asarray(x, np.float64), np.asarray(u, np.float64)
        x_MK[m, : len(x_K)] = x_K
        table_3MP[0, m, 1 : len(x_K) + 1] = x_K
        table_3MP[1, m, : len(x_K) + 1] = np.append(u_K[0], u_K)
        with np.errstate(over="ignore"):  # beside zero, where no number lies between two knots
            slope_K = np.diff(u_K) / np.diff(x_K)
        table_3MP[2, m, 1 : len(x_K)] = np.where(np.isfinite(slope_K), slope_K, 0.0)
        table_3MP[:2, m, len(x_K) + 1 :] = u_K[-1]
    above_KMX = x_MX >= graph.constant(x_MK.T[:, :, None])
    count_MX = above_KMX.to(np.float32).sum(0)  # the sum of int64 is slower, and both are exact
    place_MX = count_MX.to(np.int64) + graph.constant((np.arange(columns) * (most + 1))[:, None])
    start_MX, height_MX, slope_MX = (graph.op("Gather", graph.constant(table.ravel()), place_MX) for table in table_3MP)
    return slope_MX * (x_MX - start_MX) + height_MX
