"""The jobs of the census study, the settings of each, and the sizes that are refused."""

from __future__ import annotations

from manygate.config.names import ARCHITECTURES
from manygate.studies.census.plan import FULL, METHODS, NETWORKS, QUICK, Job, Plan, jobs, problems, row_models


def test_separate_methods_have_a_job_for_each_task_and_share_that_of_the_auxiliary_one() -> None:
    found = [job.name for job in jobs(["single_task", "mmoe", "lightgbm"], ["income", "education"])]
    assert sorted(found) == sorted(
        [
            *("single_task-income", "single_task-education", "single_task-never_married"),
            *("lightgbm-income", "lightgbm-education", "lightgbm-never_married"),
            *("mmoe-income", "mmoe-education"),
        ]
    )
    tasks = [job.tasks for job in jobs(METHODS, ["income", "education"])]
    assert tasks == sorted(tasks, key=tasks.index), "jobs of the same tasks follow each other"
    assert all(name in found for method in ("single_task", "mmoe") for name in row_models(method, "education"))


def test_a_network_is_tuned_and_stopped_by_its_main_task() -> None:
    config = FULL.config(Job("tensor_factorization_naive", ("education", "never_married")), threads=1)
    assert (config.architecture, config.tucker_init) == ("tensor_factorization", "naive")
    assert (config.monitor, config.replicas, config.threads) == ("education", FULL.trial_replicas, 1)
    assert {settings["architecture"] for settings in NETWORKS.values()} <= set(ARCHITECTURES)
    assert (FULL.tuning().max_units, FULL.tuning().chosen_sampler) == (512, "gp")


def test_final_seeds_are_those_of_no_trial() -> None:
    plan = Plan(trials=5, trial_replicas=3, seed=7)
    trial_seeds = [plan.config(Job("mmoe", ("income",))).seed_of(r) for r in range(3)]
    assert plan.first_final_seed not in trial_seeds
    assert plan.first_final_seed == max(trial_seeds) + 1


def test_the_plan_tells_all_that_decides_results() -> None:
    tree = QUICK.to_tree()
    assert tree["trials"] == QUICK.trials
    assert len(tree["files"]) == 2
    assert QUICK.most_rows is not None
    assert FULL.most_rows is None


def test_all_problems_are_listed() -> None:
    found = problems({"trials": 0, "replicas": 2, "threads": 0, "seed": -1, "methods": ["mmo", "ple"], "group": "age"})
    assert len(found) == 6
    assert any("'mmo' is unknown. Did you mean" in text for text in found)
    assert problems({"trials": 1, "replicas": 3, "methods": METHODS, "group": "both"}) == []
