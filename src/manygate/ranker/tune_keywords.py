"""The settings as keyword parameters of mg.tune. Written by ``make docs``; do not edit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, TypeAlias

from manygate.ranker.tuning import Tuning, tune_log
from manygate.schema import Schema, Task
from manygate.training.progress import ProgressMode

Tasks: TypeAlias = str | Task | Mapping[str, Any] | Sequence[str | Task | Mapping[str, Any]]
Names: TypeAlias = str | Sequence[str]
Widths: TypeAlias = int | str | Sequence[int]
Rows: TypeAlias = int | str | Sequence[int] | Sequence[Sequence[int]]
Numbers: TypeAlias = float | str | Sequence[float]
ColumnTypes: TypeAlias = str | Mapping[str, str] | Sequence[str]
NumberRows: TypeAlias = str | Sequence[float] | Sequence[Sequence[float]]
ClassName: TypeAlias = str | type[Any]
ClassNames: TypeAlias = str | type[Any] | Sequence[str | type[Any]]

RUN = ("log", "valid", "test", "out", "overwrite", "progress")


# fmt: off
def tune(
    log: Any, valid: Any = None, test: Any = None, *,
    out: str | Path | None = None, overwrite: bool = False, progress: ProgressMode | bool = "auto",
    space: Mapping[str, Any] | None = None, trials: int = 50, sampler: Literal["auto", "gp", "tpe", "random"] = "auto",
    objective: Names = (), pruning: Literal["none", "median"] = "none", round: int = 0, max_units: int | None = None,
    storage: str | None = None, study: str = "tuning", pick: int | None = None, final_replicas: int = 8,
    schema: Schema | str | Path | None = None, task: Tasks = (), types: ColumnTypes = (), separator: str | None = None,
    quote: str | None = None, escape: str | None = None, file_encoding: str | None = None, header: bool | None = None,
    null_values: Names = (), schema_file: str | None = None, group: str | None = None, time: str | None = None,
    weight: str | None = None, bias: Names = (), context: Names = (), ignore: Names = (),
    split: Literal["random", "time", "group", "progressive"] = "random", fractions: Sequence[float] = (0.8, 0.1, 0.1),
    shuffle_seed: int = 0, encoding: Literal["piecewise", "minmax", "standard", "log1p"] = "piecewise", bins: int = 16,
    target_statistics: bool | None = None, number_ids: int | None = None, memory: str | None = None, rows_folder: str | None = None,
    min_count: int = 2, max_ids: int | None = None, architecture: ClassName = "mmoe", dim: int = 8,
    dim_rule: Literal["equal", "fourth_root"] = "equal", cross_layers: int | None = None, cross_rank: int = 32,
    lower_hidden: Widths = (), experts: int = 8, expert_hidden: Widths = (64,), levels: int = 2, level_hidden: Rows | None = None,
    shared_experts: Widths | None = None, task_experts: Rows | None = None, task_expert_hidden: Rows | None = None,
    bottom_hidden: Widths | None = None, tower_hidden: Widths = (32,), gate: Literal["softmax", "topk", "dselect_k"] = "softmax",
    gate_bias: bool = False, gate_features: Names = (), temperature: float = 1.0, top_k: int = 2, gate_dropout: float = 0.0,
    importance_weight: float | None = None, load_weight: float | None = None, entropy_weight: float = 0.01,
    ml_gate_input: Literal["previous", "raw"] = "previous", stem_gate_input: Literal["own", "sum"] = "own",
    stem_gate_hidden: Widths = (), expert_norm: bool = False, fusion: Literal["concat", "sum", "mean"] | None = None,
    l2_alpha: float = 0.001, stitch_rate: float = 10.0, subspaces: int = 2, orthogonality: float = 0.0,
    tucker_ranks: Widths | None = None, tucker_init: Literal["balanced", "naive"] = "balanced", gate_hidden: int = 32,
    match_parameters: int | None = None, match_flops: int | None = None,
    funnel: Literal["conditional", "esmm", "aitm", "escm2_ipw", "escm2_dr"] = "esmm", dropout: float = 0.1,
    bias_dropout: float = 0.1, id_dropout: float = 1.0, replicas: int = 2, seed: int = 0, pack: int | None = None,
    replica_data: Literal["shared", "order", "bootstrap"] = "shared", replica_seeds: Widths = (), replica_rates: Numbers = (),
    replica_weights: NumberRows = (), replica_id_dropouts: Numbers = (), calibrator_weight: float = 0.6, escm2_weight: float = 1.0,
    escm2_joint_weight: float = 1.0, propensity_floor: float = 0.05, weighting: ClassName = "fixed", balance_every: int = 1,
    gradnorm_alpha: float = 1.5, cagrad_c: float = 0.4, optimizer: Literal["adam", "adamw", "sgd", "adagrad"] = "adamw",
    table_optimizer: Literal["same", "rowwise_adagrad"] = "same", table_learning_rate: float | None = None,
    table_sharding: Literal["none", "row_wise", "table_wise", "planned"] = "none", learning_rate: float = 0.002,
    weight_decay: float | None = None, schedule: Literal["constant", "linear", "cosine"] = "constant", warmup: float = 0.0,
    weight_average: float | None = None, clip_norm: float | None = None, batch_size: int | None = None, epochs: int = 20,
    max_steps: int | None = None, keep: Literal["best", "best-per-task", "last"] = "best", patience: int = 3,
    evaluate_every: float = 1.0, monitor: str = "mean", calibration: Literal["none", "platt", "temperature", "isotonic"] = "none",
    precision: Literal["float32", "bf16"] = "float32", sparse_gradients: bool | None = None, device: str = "auto",
    threads: int | None = None, checkpoint_seconds: float = 60.0, continued: str | None = None, random_state: int | None = None,
    **unknown: Any,
) -> Tuning:
    settings = dict(locals())
    settings |= settings.pop("unknown")
    return tune_log(settings, **{name: settings.pop(name) for name in RUN})
# fmt: on


tune.__doc__ = """Searches for settings of one architecture, and measures what they gain over the default ones.

Trials train with settings that a sampler proposes, and validation rows judge them. Then the best settings and the default ones are
trained again with fresh seeds, and judged on test rows. Without ``space`` the architecture has a default space, in which settings
that you give stay as they are; one that has the value of its default counts as not given. Returns a :class:`manygate.Tuning`.
Raises :class:`manygate.InputError`, which lists every problem.
Calls with the same ``out`` share the trials, also from several processes, and continue a search that was stopped.

Parameters
----------
space : Mapping[str, Any] | None, default None
    Ranges by setting, for example {learning_rate: {log: [0.0001, 0.01]}}. Default: one for the architecture.
trials : int, default 50
    Number of trials of the whole study, of all processes together.
sampler : Literal['auto', 'gp', 'tpe', 'random'], default 'auto'
    What proposes the trials. auto is gp up to 300 trials and tpe above.
objective : Names, default ()
    What to maximise on validation rows: mean, TASK or TASK/METRIC; several give a front. Default: monitor.
pruning : Literal['none', 'median'], default 'none'
    End a trial early if its best score so far is below the median of earlier trials at the same epoch.
round : int, default 0
    Propose this many trials at a time, from finished rounds alone. So the trials depend on the seed and not on the number
    of processes. Default: propose each trial from all that is known.
max_units : int | None, default None
    Most hidden units of a layer, all its experts together: 2048 in MMoE section 6.2. Default: no limit.
storage : str | None, default None
    SQL database that processes share, for example sqlite:///study.db. Default: a file in the folder.
study : str, default 'tuning'
    Name of the study in storage.
pick : int | None, default None
    Trial to train again at the end. Default: the best, or of a front the nearest to the best values.
final_replicas : int, default 8
    Replicas with which tuned and default settings are trained at the end.
schema : Schema | str | Path | None, default None
    A schema, or the YAML file of one. Default: inferred from the log.
task : Tasks, default ()
    A label to predict: NAME, or NAME:where=click==1,kind=regression.
types : ColumnTypes, default ()
    Kind of a column, COLUMN=KIND, with KIND one of text, integer, number, decimal_comma, thousands_comma, boolean. Text
    keeps the bytes of an id: sku=text. Default: CSV files are looked through; other tables have types.
separator : str | None, default None
    What separates the fields of a CSV file: one character, or tab. Default: recognised.
quote : str | None, default None
    Character around CSV fields that hold separators, or none. Default: ".
escape : str | None, default None
    Character before a quote inside a quoted CSV field, such as \\, or none. Default: recognised.
file_encoding : str | None, default None
    Encoding of the text of CSV files, such as cp1252. Default: UTF-8, or UTF-16 where that is recognised.
header : bool | None, default None
    Whether CSV files begin with a line of names. Without one the columns are column_1, column_2, ...
null_values : Names, default ()
    Words that stand for a missing value in every column of a CSV file, beside the empty field.
schema_file : str | None, default None
    Schema as YAML. Default: schema.yaml beside the log, else inferred.
group : str | None, default None
    Column of users or queries, for GAUC, splits and intervals.
time : str | None, default None
    Column of times, for splits.
weight : str | None, default None
    Column of row weights.
bias : Names, default ()
    Features that are absent at serving, such as a position.
context : Names, default ()
    Features of the user or the request, the same for all its candidates. Exported models use it.
ignore : Names, default ()
    Columns not to use.
split : Literal['random', 'time', 'group', 'progressive'], default 'random'
    How to split a log that is not split yet. progressive is for manygate train alone: it trains on each day of time in turn
    and judges the model on the next day before it trains on it.
fractions : Sequence[float], default (0.8, 0.1, 0.1)
    Shares of train, validation and test.
shuffle_seed : int, default 0
    Seed of the split and of the order of batches.
encoding : Literal['piecewise', 'minmax', 'standard', 'log1p'], default 'piecewise'
    How dense numbers are scaled, unless the schema sets it.
bins : int, default 16
    Quantile bins of the piecewise-linear encoding.
target_statistics : bool | None, default None
    Give the network the smoothed mean label of each id, for each task, as numbers. Training rows read those of other
    training rows. Default: from 100,000 training rows on, for features of 16 ids or more that have 500 training rows on
    average, with at most 4 tasks.
number_ids : int | None, default None
    Smallest number of training rows from which on a value of a number is also an id, with an embedding. Only numbers whose
    values repeat have such ids. 0 switches them off. Default: 10 from 100,000 training rows on, for numbers whose ids have
    500 training rows or more on average.
memory : str | None, default None
    Most memory for the encoded rows, such as 4GiB or 500MB. More rows go to files, and training reads them block by block.
    Default: half of the free memory.
rows_folder : str | None, default None
    Folder for the files of encoded rows. They are removed at the end. Default: that of temporary files.
min_count : int, default 2
    Ids that occur less often share the row of unseen ids.
max_ids : int | None, default None
    Largest number of ids of a feature with a row of their own: the most frequent. Default: no limit.
architecture : ClassName, default 'mmoe'
    How the tasks share: single_task, shared_bottom, asymmetric_sharing, customized_sharing, l2_constrained, cross_stitch,
    sluice_network, tensor_factorization, omoe, mmoe, ml_mmoe, cgc, ple, adatt, stem, pepnet; or a class of your own as
    module:Class.
dim : int, default 8
    Width of each embedding.
dim_rule : Literal['equal', 'fourth_root'], default 'equal'
    Width of embeddings where the schema gives none: dim, or the fourth root of a feature's number of ids, as a power of 2
    from 4 to 64.
cross_layers : int | None, default None
    Number of cross layers below the scheme, shared by all tasks: products of inputs (DCN-v2, WWW 2021). Default: 2 from
    100,000 training rows on, or 0 with gate_features.
cross_rank : int, default 32
    Rank of the matrices of the cross layers.
lower_hidden : Widths, default ()
    Hidden widths of layers below the scheme, which all tasks share (MMoE section 6.4.1). Default: none.
experts : int, default 8
    Number of experts.
expert_hidden : Widths, default (64,)
    Hidden widths of an expert, for example 64 or 128,64.
levels : int, default 2
    Number of levels of ple, ml_mmoe and adatt.
level_hidden : Rows | None, default None
    Hidden widths of the experts of each level; 128/64 for two levels. Default: expert_hidden on each.
shared_experts : Widths | None, default None
    Number of shared experts of cgc, ple, adatt and stem, or of each level: 4,2. Default: half of experts.
task_experts : Rows | None, default None
    Number of experts that serve one task alone in cgc, ple, adatt and stem; or of each task: 2,1, levels separated by /.
    Default: the rest of experts, divided among the tasks.
task_expert_hidden : Rows | None, default None
    Hidden widths of experts that serve one task alone, tasks separated by /. Default: those of the level.
bottom_hidden : Widths | None, default None
    Hidden widths of a shared bottom, and of the network of each task where a scheme has one. Default: widths with as many
    weights as the experts (MMoE section 5.1).
tower_hidden : Widths, default (32,)
    Hidden widths of each task's tower.
gate : Literal['softmax', 'topk', 'dselect_k'], default 'softmax'
    How gates choose experts.
gate_bias : bool, default False
    Give the gates a bias; equation 8 of MMoE has none.
gate_features : Names, default ()
    Features that the gates read. Default: what the experts read.
temperature : float, default 1.0
    Temperature of the gates: it divides their logits.
top_k : int, default 2
    How many experts a gate selects with gate topk or dselect_k.
gate_dropout : float, default 0.0
    Share of gate weights that are set to zero in training (Zhao et al. 2019).
importance_weight : float | None, default None
    Weight of the importance loss. Default: 0.1 with gate topk, else 0.
load_weight : float | None, default None
    Weight of the load loss. Default: 0.1 with gate topk.
entropy_weight : float, default 0.01
    Weight of the entropy loss, which gate dselect_k alone has.
ml_gate_input : Literal['previous', 'raw'], default 'previous'
    What ml_mmoe's gates read above level 1: the output of the level below, or the raw input x.
stem_gate_input : Literal['own', 'sum'], default 'own'
    What stem's gates read: own embedding, or own plus shared.
stem_gate_hidden : Widths, default ()
    Hidden widths of stem's gates. Default: none, so a gate is one linear map.
expert_norm : bool, default False
    Normalise expert outputs and replace ReLU by Swish (HoME, KDD 2025).
fusion : Literal['concat', 'sum', 'mean'] | None, default None
    How a task's bottoms are combined. Default: sum in asymmetric_sharing, concat in customized_sharing.
l2_alpha : float, default 0.001
    Weight of l2_constrained's penalty.
stitch_rate : float, default 10.0
    Factor for the learning rate of the stitches (cross_stitch, sluice_network).
subspaces : int, default 2
    Number of subspaces of each layer of sluice_network.
orthogonality : float, default 0.0
    Weight of sluice_network's penalty on overlapping subspaces.
tucker_ranks : Widths | None, default None
    The ranks r1,r2,r3 of tensor_factorization, for inputs, outputs and tasks. Default: nearly full.
tucker_init : Literal['balanced', 'naive'], default 'balanced'
    How tensor_factorization draws its factors: so that their product has Glorot's variance, or each factor by itself, which
    makes the product far smaller.
gate_hidden : int, default 32
    Hidden width of pepnet's gates.
match_parameters : int | None, default None
    Choose hidden widths so that each scheme has this many parameters outside the embedding tables, within 2 %.
match_flops : int | None, default None
    Choose hidden widths so that a row's forward pass takes this many FLOPs, within 2 %.
funnel : Literal['conditional', 'esmm', 'aitm', 'escm2_ipw', 'escm2_dr'], default 'esmm'
    How to train a task that comes after another: on the rows where the other happened, or on all rows.
dropout : float, default 0.1
    Share of hidden units that are dropped in training.
bias_dropout : float, default 0.1
    Share of rows whose bias features are hidden in training.
id_dropout : float, default 1.0
    How often training replaces an id by the unseen-id row: with probability c / (c + n) for an id that it sees n times.
    This is c; 0 switches it off.
replicas : int, default 2
    Number of models to train at once. They differ in their seed alone.
seed : int, default 0
    The first seed: replica r uses seed + r. So runs with the seeds 0 and 1 share all replicas but one.
pack : int | None, default None
    Number of replicas in one program; the others train later. Default: as many as fit in memory.
replica_data : Literal['shared', 'order', 'bootstrap'], default 'shared'
    Training rows: the same for all replicas, shuffled for each, or a bootstrap sample for each.
replica_seeds : Widths, default ()
    Numbers that are added to the seed. Replicas take them in turn: 0,1,0,1. Default: 0,1,2 and so on.
replica_rates : Numbers, default ()
    Factors for the learning rate. Replicas take them in turn: 0.1,1,10.
replica_weights : NumberRows, default ()
    Factors for the tasks' weights. Replicas take them in turn, separated by /: 1,1/1,2 for two tasks.
replica_id_dropouts : Numbers, default ()
    Values of id_dropout. Replicas take them in turn: 0,5,20. Default: the same for all.
calibrator_weight : float, default 0.6
    Weight of the calibrator loss of aitm.
escm2_weight : float, default 1.0
    Weight of the counterfactual loss of escm2.
escm2_joint_weight : float, default 1.0
    Weight of the loss of esmm within escm2.
propensity_floor : float, default 0.05
    Smallest propensity that escm2 divides by.
weighting : ClassName, default 'fixed'
    How the tasks' losses become one objective: fixed, schedule, uncertainty, dwa, random, famo, gradnorm, pcgrad, gradvac,
    cagrad, mgda, nash_mtl, fairgrad, imtl_g, aligned_mtl, upgrad, dualproj; or a class of your own as module:Class.
balance_every : int, default 1
    Weightings that use gradients compute them in every Nth step.
gradnorm_alpha : float, default 1.5
    How strongly gradnorm makes the tasks learn at the same rate.
cagrad_c : float, default 0.4
    Largest distance of cagrad's direction from the mean gradient, as a share of its length.
optimizer : Literal['adam', 'adamw', 'sgd', 'adagrad'], default 'adamw'
    The optimizer.
table_optimizer : Literal['same', 'rowwise_adagrad'], default 'same'
    The optimizer of the embedding tables: that of the other weights, or row-wise Adagrad, with one number a row.
table_learning_rate : float | None, default None
    The learning rate of the embedding tables. Default: learning_rate.
table_sharding : Literal['none', 'row_wise', 'table_wise', 'planned'], default 'none'
    Where the embedding tables of a run of several processes are: in each of them (none), or spread over them by TorchRec:
    by rows, by features, or large features by rows and others whole (planned). It needs table_optimizer rowwise_adagrad. In
    one process it changes nothing.
learning_rate : float, default 0.002
    The learning rate.
weight_decay : float | None, default None
    Weight decay. Default: 0.01 for adamw, where it is decoupled, and 0 for the others.
schedule : Literal['constant', 'linear', 'cosine'], default 'constant'
    How the learning rate changes over the steps.
warmup : float, default 0.0
    Share of the steps over which the learning rate rises from zero.
weight_average : float | None, default None
    Decay of the average of the weights over the steps. Validation judges the average, and the average is kept. 0 switches
    it off. Default: 0.999 from 100,000 training rows on, and 0 with table_sharding.
clip_norm : float | None, default None
    Largest norm of a replica's gradient. Default: no limit.
batch_size : int | None, default None
    Number of rows in a batch. Default: 1024, or fewer on a small log, so that an epoch has 128 steps.
epochs : int, default 20
    Largest number of passes over the training rows.
max_steps : int | None, default None
    Largest number of optimizer steps. Default: no limit.
keep : Literal['best', 'best-per-task', 'last'], default 'best'
    Weights to keep: of the best validation score, of each task's own best (a copy of the network for each task), or the
    last (then patience stops nothing).
patience : int, default 3
    A replica stops after this many epochs without a better validation metric.
evaluate_every : float, default 1.0
    Share of an epoch between evaluations, 1 divided by a whole number: 0.25 evaluates four times in each epoch. Patience is
    counted in epochs all the same.
monitor : str, default 'mean'
    The metric that validation watches: mean (of all tasks), TASK, or TASK/METRIC.
calibration : Literal['none', 'platt', 'temperature', 'isotonic'], default 'none'
    How predicted probabilities are corrected, fitted on the validation rows after training.
precision : Literal['float32', 'bf16'], default 'float32'
    Precision of training; bf16 uses autocast.
sparse_gradients : bool | None, default None
    Update only the embedding rows that a batch reads. Default: if there are over 100,000 embedding rows.
device : str, default 'auto'
    Where to compute: auto, cpu, cuda or cuda:N.
threads : int | None, default None
    CPU threads. Default: all cores.
checkpoint_seconds : float, default 60.0
    Longest time between checkpoints. Each epoch ends with one, too.
continued : str | None, default None
    The folder of a finished run whose weights and vocabularies the run starts from (train continue).
random_state : int | None, default None
    Another name of ``seed``, as in scikit-learn.
"""
