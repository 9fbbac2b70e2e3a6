"""Does sharing help? The verdicts on made-up logits whose truth is known, and a choice that reads validation alone."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from manygate.data.encoded import EncodedLog
from manygate.data.labels import LabelScale
from manygate.data.rows import Rows
from manygate.evaluation.monitor import Monitor
from manygate.metrics.uncertainty import interval
from manygate.model.problem import Problem
from manygate.results.comparison import ComparisonDocument
from manygate.results.evaluation import Stopped
from manygate.runs.comparison import choose, compare_run, measures, measures_as_kept, unfinished, verdict_fields, verdicts
from manygate.schema import Task
from manygate.training.interrupt import Interrupted
from manygate.training.progress import Progress
from manygate.training.trainer import Trainer

N, R = 4000, 8
TASKS = (Task(name="click"), Task(name="watch", kind="regression"))


@dataclass
class FakeSchema:
    tasks: tuple[Task, ...] = TASKS


@dataclass
class FakeLog:
    parts: dict[str, Rows]
    schema: FakeSchema

    @property
    def encoder(self) -> Any:
        return SimpleNamespace(labels={task.name: LabelScale() for task in self.schema.tasks})


@dataclass
class FakeTrained:
    test_logit_RNT: np.ndarray
    predictor: Any = field(default_factory=lambda: SimpleNamespace(problem=Problem.unscaled((), TASKS)))
    own_test_logit_RNT: Any = None

    def __post_init__(self) -> None:
        if self.own_test_logit_RNT is None:
            self.own_test_logit_RNT = self.test_logit_RNT


def judged(log: Any, trained: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return verdicts(measures(log, trained), log.schema.tasks)


@pytest.fixture
def log() -> Any:
    random = np.random.default_rng(0)
    label = np.stack([random.integers(0, 2, N), random.normal(size=N)], axis=1).astype(np.float32)
    group = random.integers(0, 500, N).astype(np.uint64)
    rows = Rows(np.zeros((N, 0)), np.zeros((N, 0)), [], label, np.ones((N, 2), np.float32), group)
    return FakeLog({"test": rows}, FakeSchema())


def scored(log: Any, skill: tuple[float, float], seed: int, noise_seed: int = 99) -> FakeTrained:
    """Replicas that share most of their noise (the rows' own luck) and have a little of their own (the seeds')."""
    shared = np.random.default_rng(noise_seed).normal(size=(1, N, 2))
    own = 0.1 * np.random.default_rng(seed).normal(size=(R, N, 2))
    signal = (log.parts["test"].label_BT - np.array([0.5, 0.0])) * skill
    return FakeTrained(signal + (shared + own) * [1.0, 0.3])


def test_a_clear_gain_helps_a_clear_loss_hurts_and_noise_cannot_tell(log):
    trained = {
        "single_task": scored(log, (1.0, 0.5), 1),
        "mmoe": scored(log, (1.6, 0.2), 2),
        "omoe": scored(log, (1.0, 0.5), 3),
    }
    found = judged(log, trained)
    assert list(found) == ["mmoe", "omoe"]
    assert found["mmoe"]["click"].verdict == "helps"
    assert found["mmoe"]["click"].ci95[0] > 0
    assert found["mmoe"]["watch"].verdict == "hurts"
    assert found["mmoe"]["watch"].ci95[1] < 0
    for task in ("click", "watch"):
        assert found["omoe"][task].verdict == "cannot tell"
        low, high = found["omoe"][task].ci95
        assert low < 0 < high


def test_the_verdict_turns_round_with_the_baseline(log):
    good, bad = scored(log, (1.6, 0.6), 1), scored(log, (1.0, 0.2), 2)
    one = judged(log, {"single_task": bad, "mmoe": good})["mmoe"]
    two = judged(log, {"single_task": good, "mmoe": bad})["mmoe"]
    for task in ("click", "watch"):
        assert one[task].gain == pytest.approx(-two[task].gain)
        assert one[task].ci95 == pytest.approx([-two[task].ci95[1], -two[task].ci95[0]])
        assert (one[task].verdict, two[task].verdict) == ("helps", "hurts")


def test_replicas_are_paired_with_the_baseline_s_replica_of_the_same_number(log):
    """Each pair shares a seed's luck: the gain is the same in all, and the seeds' part of the interval small."""
    random = np.random.default_rng(5)
    luck = random.normal(size=(R, 1, 1)) * 0.4 + 1.0
    base = scored(log, (1.0, 0.5), 1).test_logit_RNT
    signal = log.parts["test"].label_BT - np.array([0.5, 0.0])
    lucky = FakeTrained(base + luck * signal)
    same_luck = FakeTrained(base + (luck + 0.05) * signal)
    paired = judged(log, {"single_task": lucky, "mmoe": same_luck})["mmoe"]["click"]
    broken = FakeTrained(np.roll(same_luck.test_logit_RNT, 1, axis=0))
    unpaired = judged(log, {"single_task": lucky, "mmoe": broken})["mmoe"]["click"]
    assert paired.sd_replicas < unpaired.sd_replicas / 4
    assert paired.gain == pytest.approx(unpaired.gain, abs=1e-12)


def test_the_effect_goes_by_each_task_s_own_epoch_and_the_price_is_what_one_epoch_costs(log):
    """mmoe is as good as the baseline at each task's own epoch. The epoch that it keeps is worse for watch."""
    own, base = scored(log, (1.0, 0.5), 2), scored(log, (1.0, 0.5), 1)
    kept = scored(log, (1.0, 0.2), 2).test_logit_RNT
    valid = scores(single_task=[0.70] * R, mmoe=[0.71] * R)
    trained = {"single_task": base, "mmoe": FakeTrained(kept, own_test_logit_RNT=own.test_logit_RNT)}
    found: Any = verdict_fields(log, trained, measures_as_kept(log, trained), valid, choose(valid, "mean"))
    effect, shipped, price = found["verdicts"]["mmoe"], found["as_shipped"]["mmoe"], found["price"]["mmoe"]
    alone = judged(log, {"single_task": base, "mmoe": own})["mmoe"]
    assert {task: entry.gain for task, entry in effect.items()} == {task: entry.gain for task, entry in alone.items()}
    as_kept = judged(log, {"single_task": base, "mmoe": FakeTrained(kept)})["mmoe"]
    for task in ("click", "watch"):
        assert shipped[task].gain == pytest.approx(effect[task].gain - price[task].price, abs=1e-12)
        assert shipped[task].gain == pytest.approx(as_kept[task].gain, abs=1e-12)
        assert shipped[task].ci95 == pytest.approx(as_kept[task].ci95, abs=1e-9)
    assert price["click"].price == pytest.approx(0.0, abs=1e-12), "its logits are the same"
    assert price["watch"].joint95[0] > 0
    assert effect["watch"].verdict == "cannot tell", "sharing itself does nothing"
    assert shipped["watch"].verdict == "hurts"
    assert found["transfer"].negative == [], "negative transfer is said of the effect alone"
    assert found["recommendation"].rule == "separate"
    assert "The setting keep: best-per-task saves the price." in found["recommendation"].reasons[0]


def test_few_test_rows_cannot_tell_however_alike_the_replicas_are():
    """Replicas share their test rows: that all agree says nothing of another sample."""
    random = np.random.default_rng(1)
    label = random.integers(0, 2, (40, 1)).astype(np.float32)
    rows = Rows(np.zeros((40, 0)), np.zeros((40, 0)), [], label, np.ones((40, 1), np.float32))
    log: Any = FakeLog({"test": rows}, FakeSchema((Task(name="click"),)))
    noise = random.normal(size=(2, 1, 40, 1))
    own = 1e-3 * random.normal(size=(2, R, 40, 1))
    problem = Problem.unscaled((), log.schema.tasks)
    one, two = (FakeTrained(label + noise[i] + own[i], SimpleNamespace(problem=problem)) for i in range(2))
    found = judged(log, {"single_task": one, "mmoe": two})["mmoe"]["click"]
    assert found.sd_replicas < 0.01
    assert found.verdict == "cannot tell"
    assert found.se_test > 0.02


def test_intervals_cover_the_truth_about_as_often_as_they_say(log):
    """No gain at all, fresh noise each time: few of the verdicts may be anything but 'cannot tell'."""
    wrong = 0
    for trial in range(60):
        pair = {
            name: scored(log, (1.0, 0.5), 10 * trial + i, noise_seed=1000 + 2 * trial + i)
            for i, name in enumerate(("single_task", "mmoe"))
        }
        wrong += sum(entry.verdict != "cannot tell" for entry in judged(log, pair)["mmoe"].values())
    assert wrong <= 14, f"{wrong} of 120 verdicts at the 95 % level"


def scores(**means: Any) -> dict[str, Any]:
    return {name: interval(values) for name, values in means.items()}


def test_the_choice_is_the_best_on_validation_and_says_by_how_much():
    valid = scores(single_task=[7.0, 7.1, 7.0], mmoe=[7.5, 7.6, 7.5], omoe=[7.2, 7.3, 7.2])
    found = choose(valid, "mean")
    assert found.architecture == "mmoe"
    assert found.reason == (
        "mmoe has the best validation score: its tasks lie 7.53 standard errors above guessing on average, 0.30 ahead of omoe."
    )
    assert found.valid == valid
    close = choose(scores(a=[0.70, 0.74, 0.70], b=[0.73, 0.70, 0.70]), "click")
    assert close.architecture == "a"
    assert close.reason.endswith("between these two the replicas cannot decide.")
    assert close.reason.startswith("a has the best validation score for click (0.7133), 0.0033 ahead of b; ")


def test_the_choice_among_one_and_among_none():
    alone = "mmoe has the best validation score: its tasks lie 7.00 standard errors above guessing on average."
    assert choose(scores(mmoe=[7.0]), "mean").reason == alone
    one_each = choose(scores(a=[7.0], b=[6.9]), "mean")
    assert one_each.architecture == "a"
    assert one_each.reason.endswith("0.10 ahead of b; 3 or more replicas are needed to decide between these two.")
    nothing = choose(scores(a=[float("nan")], b=[float("nan")]), "mean")
    assert nothing.architecture is None
    assert choose(scores(a=[float("nan")], b=[0.6]), "mean").architecture == "b"


@pytest.fixture(scope="module")
def compared(encoded, settings, tmp_path_factory) -> tuple[ComparisonDocument, Path, EncodedLog, Any]:
    log, config = encoded(), settings(replicas=2, epochs=2, architectures="single_task,shared_bottom,omoe,mmoe")
    folder = tmp_path_factory.mktemp("comparison")
    return compare_run(log, config, folder, Progress(), "manygate compare")[0], folder, log, config


def test_a_comparison_end_to_end(compared):
    document, folder, _, config = compared
    found = document.to_tree()
    assert json.loads((folder / "comparison.json").read_text()) == found
    assert found["comparison_version"] == 2
    assert found["baseline"] == "single_task"
    assert list(found["results"]) == found["architectures"] == list(config.architectures)
    assert list(found["verdicts"]) == ["shared_bottom", "omoe", "mmoe"]
    for result in found["results"].values():
        assert set(result["tasks"]) == {"click", "like", "watch"}
        assert result["parameters"] > 0
        for task in result["tasks"].values():
            for metric in task["metrics"].values():
                assert set(metric) == {"mean", "sd", "ci95", "values"}
                assert len(metric["values"]) == 2
            assert set(task["ensemble"]) == set(task["metrics"])
    for per_task in found["verdicts"].values():
        for verdict in per_task.values():
            assert {"metric", "gain", "ci95", "verdict"} <= set(verdict)
            assert verdict["verdict"] in ("helps", "hurts", "cannot tell")
    assert found["results"]["single_task"]["parameters"] > found["results"]["shared_bottom"]["parameters"]
    assert {"comparison.json", "report.html", "schema.yaml", "DONE", *config.architectures} <= {p.name for p in folder.iterdir()}
    assert all((folder / name / "DONE").is_file() for name in config.architectures)


def test_a_comparison_says_who_pays_and_what_to_do(compared):
    found, _, log, _ = compared
    told, advice = found.transfer, found.recommendation
    judged_looks = {name: 2 * 3 * (1 if name == advice.judged else 2) for name in told.gains}
    assert (told.looks, told.pair_looks) == (judged_looks, 9)
    assert list(told.gains) == ["shared_bottom", "omoe", "mmoe"]
    for name, own in told.gains.items():
        for task, verdict in found.verdicts[name].items():
            gain = own[task][verdict.metric]
            assert gain.verdict == verdict.verdict
            assert gain.gain == pytest.approx(verdict.gain, abs=1e-12)
            assert gain.ci95 == pytest.approx(verdict.ci95, abs=1e-9), "one equation, two ways to sum"
            metrics = ["auc", "gauc", "log_loss", "calibration", "ece"]
            grouped = log.parts["test"].group_B is not None
            expected = ["r2"] if task == "watch" else [key for key in metrics if grouped or key != "gauc"]
            assert list(own[task]) == expected
    assert [(pair.origin, pair.to) for pair in told.differences] == [
        ("shared_bottom", "omoe"),
        ("shared_bottom", "mmoe"),
        ("omoe", "mmoe"),
    ]
    assert advice.model == found.best.architecture
    assert advice.judged in told.gains
    assert advice.text


def test_the_choice_reads_validation_and_not_test(compared, encoded, settings):
    """Other test rows, other labels on them: other results, the same choice for the same reason."""
    found, _, log, config = compared
    test = log.parts["test"]
    label = 1 - test.label_BT
    turned = EncodedLog(
        log.source,
        log.encoder,
        {**log.parts, "test": Rows(test.id_BS, test.number_BM, test.bags, label, test.weight_BT, test.group_B)},
    )
    again, _ = compare_run(turned, config, None, Progress())
    assert again.best == found.best
    assert again.valid == found.valid
    assert again.results["mmoe"].history == found.results["mmoe"].history
    assert again.results["mmoe"].tasks["click"].metrics != found.results["mmoe"].tasks["click"].metrics


def test_validation_scores_are_comparable_between_one_model_and_one_per_task(compared):
    """The mean over tasks of each task's best, in standard errors from guessing, whether a scheme is one model or T."""
    found, _, log, config = compared
    watch = Monitor("mean", Problem.of(log.encoder, config), log.parts["valid"], SimpleNamespace())
    for name, result in found.results.items():
        per_replica = np.array(found.valid[name].values)
        assert per_replica.shape == (2,)
        assert len(result.history) < config.patience, "no clock closes, so each task's best is that of all epochs"
        best_RT = [[max(entry.valid[task][r] for entry in result.history) for task in log.schema.task_names] for r in range(2)]
        expected = ((np.array(best_RT) - watch.guess_T) / watch.error_T).mean(axis=1)
        np.testing.assert_allclose(per_replica, expected, rtol=1e-6)


def test_without_the_baseline_there_is_no_verdict(encoded, settings):
    found, _ = compare_run(encoded(), settings(epochs=1, architectures="omoe,mmoe"), None, Progress())
    assert found.baseline is None
    assert found.verdicts == {}
    assert found.best.architecture in ("omoe", "mmoe")
    assert found.transfer is None
    assert found.recommendation is None


def test_a_stopped_comparison_goes_on_where_it_was(compared, encoded, tmp_path, monkeypatch):
    found, _, log, config = compared
    fits: list[str] = []
    fit = Trainer.fit

    def interrupted(self: Trainer) -> Any:
        fits.append(self.title)
        if len(fits) == 3:
            raise Interrupted(15)
        return fit(self)

    monkeypatch.setattr(Trainer, "fit", interrupted)
    with pytest.raises(Interrupted):
        compare_run(log, config, tmp_path, Progress())
    assert not (tmp_path / "comparison.json").exists()
    again, _ = compare_run(log, config, tmp_path, Progress())
    assert fits == ["single_task", "shared_bottom", "omoe", "omoe", "mmoe"]
    found, again = found.to_tree(), again.to_tree()
    for name in config.architectures:
        for document in (found, again):
            del document["results"][name]["seconds"]
    assert again["results"] == found["results"]
    assert again["verdicts"] == found["verdicts"]


def test_a_comparison_s_influences_are_by_group(log):
    """One number a group, the sum of its rows' influences."""
    (one,) = measures(log, {"single_task": scored(log, (1.0, 0.3), seed=1)}).values()
    rows = log.parts["test"]
    by_row = Rows(rows.id_BS, rows.number_BM, [], rows.label_BT, rows.weight_BT, None)
    (alone,) = measures(FakeLog({"test": by_row}, log.schema), {"single_task": scored(log, (1.0, 0.3), seed=1)}).values()
    groups = sorted(set(rows.group_B.tolist()))
    for task, key in (("click", "auc"), ("click", "log_loss"), ("watch", "r2")):
        expected = [alone[task][key].influence_G[rows.group_B == group].sum() for group in groups]
        np.testing.assert_allclose(one[task][key].influence_G, expected, rtol=1e-6, atol=1e-12)


def stopped(last: int, **best: list[int]) -> Any:
    """A run whose history has ``last`` epochs, with the epochs kept, by task."""
    return SimpleNamespace(
        result=SimpleNamespace(history=[SimpleNamespace(epoch=last)], replicas=3, stopped=Stopped(best_epoch=best, reason=""))
    )


def test_a_run_that_most_models_left_improving_is_said_so(settings):
    """More than half of the models kept the last epoch, and the budget was used up; half is not more than half."""
    config = settings(epochs=5)
    assert unfinished({"a": stopped(5, click=[5, 5, 4, 3], like=[5, 2])}, config) == [], "three of six"
    (told,) = unfinished({"a": stopped(5, click=[5, 5, 4, 3], like=[5, 5])}, config)
    assert told.startswith("a (best epoch last in 4 of 6 cases) was still improving")
    assert unfinished({"a": stopped(4, click=[4, 4, 4, 4])}, config) == [], "it stopped by itself"
    (cut,) = unfinished({"a": stopped(2, click=[2, 2, 1])}, settings(epochs=5, max_steps=7))
    assert "2 of 3" in cut
    runs = {"a": stopped(5, click=[5, 5, 5]), "b": stopped(5, click=[5, 5, 1]), "c": stopped(5, click=[1])}
    (two,) = unfinished(runs, config)
    assert two.startswith("2 of 3 architectures were still improving")
    assert two.endswith("Give more epochs: a (best epoch last in 3 of 3 cases), b (best epoch last in 2 of 3 cases).")


def test_a_run_is_judged_by_the_own_clocks_of_its_tasks_where_it_has_them(settings):
    runs = {"a": stopped(5, click=[2, 2, 2])}
    runs["a"].result.stopped = Stopped(best_epoch={"click": [2, 2, 2]}, own_best_epoch={"click": [5, 5, 1]}, reason="")
    assert "a (best epoch last in 2 of 3 cases)" in unfinished(runs, settings(epochs=5))[0]


def test_a_task_whose_clock_was_open_at_the_end_of_the_budget_is_named_with_its_models(settings):
    """More than half of the replicas; a model that is named as a whole is not named again for each task."""

    def with_open(last: list[int], **counts: int) -> Any:
        run = stopped(5, click=last, like=last)
        run.result.stopped = Stopped(best_epoch={"click": last, "like": last}, open_clocks=counts, reason="")
        return run

    runs = {
        "a": with_open([3, 3, 3], click=2, like=1),
        "b": with_open([3, 3, 3], click=3, like=2),
        "c": with_open([5, 5, 5], click=3, like=3),
    }
    whole, click, like = unfinished(runs, settings(epochs=5))
    assert whole.startswith("c (best epoch last in 6 of 6 cases) was still improving")
    assert click.startswith("click: the budget of epochs ended before early stopping did for a (in 2 of 3 replicas) and b (in 3")
    assert "the task could improve there." in click
    both = {"a": with_open([3, 3, 3], click=3, like=3)}
    assert unfinished(both, settings(epochs=5)) == [
        "click and like: the budget of epochs ended before early stopping did for a (in 3 of 3 replicas). With more epochs these "
        "tasks could improve there."
    ]
    assert like.startswith("like: the budget of epochs ended before early stopping did for b (in 2 of 3 replicas). With more")
