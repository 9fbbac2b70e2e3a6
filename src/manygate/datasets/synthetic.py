"""The synthetic regression tasks of the MMoE paper, whose relatedness is a number that you choose (Ma et al. 2018, section 3.2).

    w_k = c sum_j L_kj u_j,  u_j orthonormal in R^d,  L L' = the wanted cosines                                  (2, 3)
    y_k = w_k' x + sum_i sin(alpha_i w_k' x + beta_i) + noise,  x ~ N(0, I_d),  noise ~ N(0, noise_var)          (4)

For two tasks of cosine p this is the paper's w_1 = c u_1, w_2 = c (p u_1 + sqrt(1 - p^2) u_2). The paper leaves open c, m, alpha,
beta and the number of rows; its "N(0, 0.01)" is read as a variance. All are arguments here.

Shape suffixes: N rows, D inputs, K tasks, M sines.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from manygate.datasets.folder import WrittenDataset, check_out, check_seed, write_dataset
from manygate.errors import raise_all, setting
from manygate.schema import Feature, Schema, Task

Floats = npt.NDArray[np.float64]
ALPHA = (1.0, 2.0, 3.0, 4.0, 5.0)
BETA = tuple(i * math.pi / 4 for i in range(1, 6))


@dataclass(frozen=True)
class Tasks:
    """K tasks and how their labels come from x: everything but chance.

    ``correlation`` is the cosine of every pair of tasks' vectors, or a K x K matrix of cosines. Raises :class:`InputError`.

    >>> tasks = Tasks(correlation=0.5, inputs=4)
    >>> w_KD = tasks.vectors(np.random.default_rng(0))
    >>> np.round(w_KD @ w_KD.T, 12).tolist()
    [[1.0, 0.5], [0.5, 1.0]]
    """

    correlation: float | Sequence[Sequence[float]] = 0.5
    tasks: int = 2
    inputs: int = 100
    scale: float = 1.0
    alpha: tuple[float, ...] = ALPHA
    beta: tuple[float, ...] = BETA
    noise_var: float = 0.01

    def __post_init__(self) -> None:
        raise_all(self._problems())

    def _problems(self) -> list[str]:
        problems = []
        if isinstance(self.correlation, int | float) and not -1 <= self.correlation <= 1:
            problems.append(f"{setting('correlation')}: expected a cosine from -1 to 1, found {self.correlation!r}.")
        if self.tasks < 1:
            problems.append(f"{setting('tasks')}: expected at least 1, found {self.tasks}.")
        if self.inputs < self.tasks:
            problems.append(f"{setting('inputs')}: {self.tasks} tasks need as many inputs at least, found {self.inputs}.")
        if not (math.isfinite(self.scale) and self.scale > 0):
            problems.append(f"{setting('scale')}: expected a positive number, found {self.scale}.")
        if not (math.isfinite(self.noise_var) and self.noise_var >= 0):
            problems.append(f"{setting('noise_var')}: expected a variance, 0 or more, found {self.noise_var}.")
        if len(self.alpha) != len(self.beta):
            problems.append(
                f"{setting('alpha')}, {setting('beta')}: one of each for every sine, found {len(self.alpha)} and {len(self.beta)}."
            )
        return problems or self._matrix_problems()

    def _matrix_problems(self) -> list[str]:
        gram = self.cosines()
        if gram.shape != (self.tasks, self.tasks):
            return [
                f"{setting('correlation')}: expected {self.tasks} x {self.tasks} cosines, found {' x '.join(map(str, gram.shape))}."
            ]
        if not (np.isfinite(gram).all() and np.allclose(gram, gram.T) and np.allclose(np.diag(gram), 1.0)):
            return [f"{setting('correlation')}: a matrix of cosines is symmetric, with ones on its diagonal."]
        lowest = float(np.linalg.eigvalsh(gram)[0])
        if lowest < -1e-9:
            least = "" if self.tasks < 3 else f"; {self.tasks} tasks cannot all be below {-1 / (self.tasks - 1):.3f} of each other"
            return [f"{setting('correlation')}: no vectors have these cosines (least eigenvalue {lowest:.3g}){least}."]
        return []

    def cosines(self) -> Floats:
        """The wanted cosines as a K x K matrix."""
        if not isinstance(self.correlation, int | float):
            return np.asarray(self.correlation, dtype=np.float64)
        return np.full((self.tasks, self.tasks), float(self.correlation)) + (1 - self.correlation) * np.eye(self.tasks)

    def vectors(self, random: np.random.Generator) -> Floats:
        """Vectors w_KD of length ``scale`` with the wanted cosines, in a random direction."""
        u_DK, r_KK = np.linalg.qr(random.standard_normal((self.inputs, self.tasks)))
        u_DK = u_DK * np.sign(np.diag(r_KK))  # else the signs are those that the decomposition happens to choose
        return np.asarray(self.scale * _triangle(self.cosines()) @ u_DK.T, dtype=np.float64)

    def mean(self, x_ND: Floats, w_KD: Floats) -> Floats:
        """Labels without noise, (N, K)."""
        z_NK = x_ND @ w_KD.T
        return np.asarray(z_NK + sum(np.sin(a * z_NK + b) for a, b in zip(self.alpha, self.beta, strict=True)), dtype=np.float64)

    def draw(self, rows: int, w_KD: Floats, random: np.random.Generator) -> tuple[Floats, Floats]:
        """Rows x_ND and labels y_NK."""
        x_ND = random.standard_normal((rows, self.inputs))
        noise_NK = math.sqrt(self.noise_var) * random.standard_normal((rows, self.tasks))
        return x_ND, self.mean(x_ND, w_KD) + noise_NK

    def stream(self, batch: int, w_KD: Floats, random: np.random.Generator) -> Iterator[tuple[Floats, Floats]]:
        """Fresh batches without end."""
        while True:
            yield self.draw(batch, w_KD, random)

    def pearson(self, cosine: float | None = None) -> float:
        """The exact correlation of two tasks' labels; ``cosine`` defaults to that of the first two tasks.

        In closed form: z = w' x is Gaussian, so every product of sines has a known mean. It does not depend on ``inputs``.

        >>> [round(Tasks().pearson(p), 3) for p in (0.0, 0.25, 0.5, 0.75, 0.9)]
        [0.0, 0.093, 0.203, 0.361, 0.563]
        """
        p = float(self.cosines()[0, -1 if self.tasks == 1 else 1]) if cosine is None else cosine
        return self._covariance(p) / (self._covariance(1.0) + self.noise_var)

    def _covariance(self, p: float) -> float:
        v, a, b = self.scale**2, np.asarray(self.alpha), np.asarray(self.beta)
        damp = np.exp(-(a**2) * v / 2)
        squares, product = a[:, None] ** 2 + a[None, :] ** 2, 2 * p * a[:, None] * a[None, :]
        minus = np.cos(b[:, None] - b[None, :]) * np.exp(-v * (squares - product) / 2)
        plus = np.cos(b[:, None] + b[None, :]) * np.exp(-v * (squares + product) / 2)
        linear = p * v + 2 * p * v * float(np.sum(a * np.cos(b) * damp))
        return linear + float((minus - plus).sum()) / 2 - float(np.sum(np.sin(b) * damp)) ** 2


def _triangle(gram: Floats) -> Floats:
    """Lower triangular L with L L' = gram, also where vectors are linearly dependent (a cosine of 1 or -1)."""
    rest, lower = gram.copy(), np.zeros_like(gram)
    for k in range(len(gram)):
        if rest[k, k] > 1e-12:
            lower[:, k] = rest[:, k] / math.sqrt(rest[k, k])
            rest -= np.outer(lower[:, k], lower[:, k])
    return lower


def synthetic(
    out: str | Path,
    correlation: float | Sequence[Sequence[float]] = 0.5,
    rows: int = 10_000,
    tasks: int = 2,
    inputs: int = 100,
    scale: float = 1.0,
    alpha: Sequence[float] = ALPHA,
    beta: Sequence[float] | None = None,
    noise_var: float = 0.01,
    seed: int = 0,
    overwrite: bool = False,
) -> WrittenDataset:
    """Write the MMoE paper's synthetic tasks as the folder ``out``: train (80 %), valid and test (10 % each).

    Args:
        out: Folder to write.
        correlation: Cosine of the tasks' vectors, or a matrix of them.
        rows: Rows in all, at least 30.
        tasks: Number of tasks K; labels y1 to yK.
        inputs: Number of inputs d; columns x1 to xd, standard normal.
        scale: Length c of the vectors.
        alpha: Frequency of each sine.
        beta: Phase of each sine. Default: pi / 4, 2 pi / 4, 3 pi / 4, ...
        noise_var: Variance of the noise.
        seed: The same seed and arguments give the same bytes.
        overwrite: Replace a folder that is there and not empty.

    Raises:
        InputError: Bad arguments, or ``out`` taken.

    >>> import tempfile
    >>> written = synthetic(Path(tempfile.mkdtemp()) / "p05", correlation=0.5, rows=100, inputs=5)
    >>> Schema.load(written.schema).task_names
    ('y1', 'y2')
    """
    problems = check_seed(seed)
    if isinstance(rows, bool) or not isinstance(rows, int) or rows < 30:
        problems.append(f"{setting('rows')}: expected a whole number of at least 30, found {rows!r}.")
    raise_all(problems)
    phases = tuple(i * math.pi / 4 for i in range(1, len(alpha) + 1)) if beta is None else tuple(beta)
    source = Tasks(correlation, tasks, inputs, scale, tuple(alpha), phases, noise_var)
    check_out(out, overwrite)
    return write_dataset(out, _files(source, rows, seed), overwrite)


def _files(source: Tasks, rows: int, seed: int) -> dict[str, pa.Table | str]:
    """The content of each file of the data set."""
    random = np.random.Generator(np.random.PCG64(seed))
    w_KD = source.vectors(random)
    x_ND, y_NK = source.draw(rows, w_KD, random)
    columns = {f"x{d + 1}": x_ND[:, d].astype(np.float32) for d in range(source.inputs)}
    table = pa.table(columns | {f"y{k + 1}": y_NK[:, k].astype(np.float32) for k in range(source.tasks)})
    edges = [0, rows * 8 // 10, rows * 9 // 10, rows]
    files: dict[str, pa.Table | str] = {
        f"{part}.parquet": table.slice(start, end - start)
        for part, start, end in zip(("train", "valid", "test"), edges[:-1], edges[1:], strict=True)
    }
    files["truth/vectors.parquet"] = pa.table({f"w{k + 1}": w_KD[k] for k in range(source.tasks)})
    files["schema.yaml"] = _schema(source).to_yaml()
    files["README.md"] = _readme(source, rows, seed)
    return files


def _schema(source: Tasks) -> Schema:
    return Schema(
        features=tuple(Feature(name=f"x{d + 1}", kind="dense", encoding="standard") for d in range(source.inputs)),
        tasks=tuple(Task(name=f"y{k + 1}", kind="regression") for k in range(source.tasks)),
    )


def _readme(source: Tasks, rows: int, seed: int) -> str:
    pairs = "" if source.tasks < 2 else f" The labels of the first two correlate by {source.pearson():.4f} (exactly, by Pearson)."
    return f"""# Synthetic regression tasks (MMoE, section 3.2)

{rows:,} rows of {source.inputs} standard normal inputs; {source.tasks} labels y = w'x + sum of sin(alpha w'x + beta) + noise.

Cosines of the vectors w: {np.round(source.cosines(), 6).tolist()}. Length {source.scale:g}, alpha {list(source.alpha)}, beta
{[round(b, 6) for b in source.beta]}, noise of variance {source.noise_var:g}, seed {seed}.{pairs}

`truth/vectors.parquet` has the vectors.
"""
