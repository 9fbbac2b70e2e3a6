"""Nothing is pickled or unpickled, end to end: an audit hook listens, every pickler raises, and every file is looked at."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

SCRIPT = """
import json, os, signal, sys
from pathlib import Path

# All that is imported later may define picklers of its own, so it is imported before they are disarmed.
import pickle, _pickle, copyreg, shelve, marshal
import jinja2  # its import dumps a version number into the key of a cache
import optuna, optuna.storages.journal, sqlalchemy
import lightgbm, matplotlib.figure, matplotlib.backends.backend_svg, narwhals, numpy, pandas, pyarrow
import safetensors.torch, torch, torch._dynamo
import manygate as mg
from manygate import ranker, report
from manygate.runs import comparison, folder as run_folder, preflight, run
from manygate.scoring import bundle, score_file
from manygate.training.interrupt import Interrupted
from manygate.training.progress import Progress

events = []
sys.addaudithook(lambda event, given: events.append(event) if event.startswith("pickle.") else None)

def forbidden(*given, **named):
    raise AssertionError("something is pickled")

for module in (pickle, _pickle):
    for name in ("Pickler", "Unpickler", "dump", "dumps", "load", "loads"):
        setattr(module, name, forbidden)
for owner, name in ((torch, "load"), (torch, "save"), (torch.jit, "load"), (torch.jit, "save"), (shelve, "open")):
    setattr(owner, name, forbidden)

log, folder = Path(sys.argv[1]), Path(sys.argv[2])
settings = json.loads(sys.argv[3])

class Stopper(Progress):
    def __init__(self):
        self.steps = 0
    def advance(self, rows):
        self.steps += 1
        if self.steps == 9:
            os.kill(os.getpid(), signal.SIGTERM)

kinds = {}
def look(place):
    for path in sorted(place.rglob("*")):
        if path.is_file():
            content = path.read_bytes()
            kinds[str(path.relative_to(folder))] = [content[:16].hex(), len(content)]

config = mg.RunConfig.build({**settings, "log": str(log)})
with run_folder.open_folder(folder / "train", config, False, False):
    pass
try:
    run.train_run(preflight.prepare(log, config), config, folder / "train", Stopper())
except Interrupted:
    look(folder)
assert any("checkpoints" in name for name in kinds), kinds
ranker_ = mg.Ranker(**settings).fit(log, out=folder / "train", resume=True, progress="none")
ranker_.save(folder / "saved")
again = mg.Ranker.load(folder / "saved")
scores_ = again.predict(pandas.read_parquet(log / "test.parquet"))
again.evaluate(log)
again.gates(log / "test.parquet")
score_file.write_scores(again.predictor, log / "test.parquet", folder / "scores.csv")
score_file.write_scores(again.predictor, log / "test.parquet", folder / "scores.parquet")
ranker_.report(folder / "again.html")
two = {**settings, "architectures": "single_task,mmoe", "replicas": 2}
mg.compare(log, out=folder / "compare", progress="none", **two)
mg.compare(log, out=folder / "compare", progress="none", resume=True, **two)
space = {"learning_rate": {"log": [0.001, 0.1]}, "experts": {"int": [1, 3]}}
short = {**settings, "epochs": 1, "checkpoint_seconds": 60}
for trials, database in ((13, {}), (2, {"storage": f"sqlite:///{folder / 'study.db'}"})):  # the first ten trials are drawn
    search = {"space": space, "trials": trials, "final_replicas": 2, **database}
    mg.tune(log, out=folder / f"tune-{len(database)}", progress="none", **search, **short)
look(folder)
try:
    pickle.loads(b"")
except AssertionError:
    disarmed = True
print(json.dumps({"events": events, "kinds": kinds, "rows": len(scores_), "disarmed": disarmed}))
"""

SETTINGS = {
    "dim": 3,
    "experts": 2,
    "expert_hidden": [4],
    "tower_hidden": [4],
    "epochs": 2,
    "batch_size": 32,
    "checkpoint_seconds": 1e-6,
    "threads": 1,
    "device": "cpu",
    "min_count": 1,
}
MAGIC = {".safetensors": None, ".arrow": b"ARROW1", ".parquet": b"PAR1", ".db": b"SQLite format 3"}
TEXT = (".json", ".jsonl", ".yaml", ".html", ".csv", ".md")


@pytest.fixture(scope="module")
def story(tmp_path_factory, log_table, log_schema) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("pickle")
    (folder / "log").mkdir()
    for part, rows, seed in (("train", 200, 1), ("valid", 80, 2), ("test", 80, 3)):
        pq.write_table(log_table(rows, seed), folder / "log" / f"{part}.parquet")
    (folder / "log" / "schema.yaml").write_text(log_schema().to_yaml(), encoding="utf-8")
    (folder / "out").mkdir()
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, folder / "log", folder / "out", json.dumps(SETTINGS)],
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return {**found, "folder": folder / "out"}


def test_no_pickle_event_from_training_to_report(story):
    assert story["rows"] == 80
    assert story["disarmed"]
    assert story["events"] == []


def test_no_file_is_a_pickle(story):
    """Not by its first bytes (protocols 2 to 5, a zip as torch.save writes it, HDF5), and each is what its name says."""
    assert len(story["kinds"]) > 40
    for name, (head, size) in story["kinds"].items():
        first, path = bytes.fromhex(head), Path(name)
        assert first[:2] not in (b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05"), name
        assert not first.startswith((b"PK\x03\x04", b"\x89HDF", b"\x93NUMPY")), name
        if path.suffix in TEXT:
            continue
        if path.suffix == ".safetensors":
            assert 0 < int.from_bytes(first[:8], "little") < size, name
            assert first[8:9] == b"{", name
        elif path.name == "DONE":
            assert size == 0
        else:
            magic = MAGIC.get(path.suffix)
            assert magic is not None, f"{name}: what kind of file is this?"
            assert first.startswith(magic), name
    for path in story["folder"].rglob("*"):
        if path.suffix in TEXT:
            path.read_text(encoding="utf-8")
