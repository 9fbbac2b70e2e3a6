"""Hostile bundles, runs and configurations. Run: python benchmarks/faults/documents.py

Each file of a trained model and of a run is damaged in several ways, and again with a manifest that fits (as an attacker would do).
Configurations and schemas hold what YAML can hold. Nothing of it may run code, hang, fill the memory or change a number silently.
"""

from __future__ import annotations

import json
import os
import resource
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from attempts import TINY, Call, Tally, call, work_folder, write_base

from manygate.files import RECORD, RECORDED, write_manifest

MOST_MEMORY = 24 << 30  # of addresses; torch alone takes 10


@dataclass(frozen=True)
class Document:
    """A damaged document: the function that damages a copy of the run, and the call that reads it. Codes are those allowed."""

    name: str
    damage: Callable[[Path], object]
    words: tuple[str, ...]
    codes: tuple[int, ...] = (2,)
    same: bool = field(default=False)
    """Where the call is accepted, the predictions must be those of before."""


PREDICT = ("predict", "RUN/mmoe", "LOG", "--out", "s.parquet")
RESUME = ("compare", "--resume", "RUN", "--progress", "plain")


def documents() -> Iterator[Document]:
    """Yield every hostile document."""
    yield from damaged_bundles()
    yield from forged_bundles()
    yield from damaged_runs()
    yield from configurations()
    yield from schemas()


def damaged_bundles() -> Iterator[Document]:
    files = ("model.safetensors", "config.yaml", "schema.json", "encoder.json", "vocabulary-0.arrow", "manifest.json")
    for file in files:
        for name, change in damages().items():
            yield Document(f"bundle: {file} {name}", partial(_damage_file, change, f"mmoe/bundle/{file}"), PREDICT)
    yield Document("bundle: a file more", lambda run: (run / "mmoe/bundle/more.txt").write_text("x"), PREDICT)


def _damage_file(change: Callable[[Path], object], file: str, run: Path) -> None:
    change(run / file)


def damages() -> dict[str, Callable[[Path], object]]:
    """Return the ways to damage a file."""

    def cut(path: Path) -> None:
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])

    def flip(path: Path) -> None:
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 1
        path.write_bytes(bytes(content))

    def pipe(path: Path) -> None:
        path.unlink()
        os.mkfifo(path)

    def device(path: Path) -> None:
        path.unlink()
        path.symlink_to("/dev/zero")

    return {"cut short": cut, "with a flipped bit": flip, "as a pipe": pipe, "as a link to a device": device}


def forged_bundles() -> Iterator[Document]:
    """Documents whose manifest fits."""

    def forged(file: str, change: Callable[[Path], object]) -> Callable[[Path], object]:
        def damage(run: Path) -> None:
            bundle = run / "mmoe/bundle"
            about = {name: value for name, value in json.loads((bundle / "manifest.json").read_text()).items() if name != "files"}
            change(bundle / file)
            write_manifest(bundle, about)

        return damage

    def edited(change: Callable[[Any], object]) -> Callable[[Path], object]:
        def edit(path: Path) -> None:
            tree = json.loads(path.read_text())
            change(tree)
            path.write_text(json.dumps(tree))

        return edit

    def text(content: str) -> Callable[[Path], object]:
        return lambda path: path.write_text(content)

    trees: dict[str, Callable[[Any], object]] = {
        "without types": lambda tree: tree.pop("types"),
        "with types of numbers": lambda tree: tree.update(types=3),
        "of another version": lambda tree: tree.update(encoder_version=99),
        "with a vocabulary outside": lambda tree: tree["vocabularies"]["user"].update(file="../../../log.parquet"),
        "with a vocabulary that is missing": lambda tree: tree["vocabularies"]["user"].update(file="gone.arrow"),
        "with buckets without end": lambda tree: tree["vocabularies"]["user"].update(buckets=10**15),
        "with negative buckets": lambda tree: tree["vocabularies"]["user"].update(buckets=-5),
        "with scales of text": lambda tree: tree.update(scales="abc"),
        "with a number of 5,000 digits": lambda tree: tree.update(null_share={"user": 10**400}),
    }
    for name, change in trees.items():
        yield Document(f"forged: encoder.json {name}", forged("encoder.json", edited(change)), PREDICT, (0, 2), same=True)
    for name, content in {
        "nested deeply": "[" * 200_000,
        "of NaN": '{"encoder_version": NaN}',
        "of null": "null",
        "empty": "",
    }.items():
        yield Document(f"forged: encoder.json {name}", forged("encoder.json", text(content)), PREDICT)
        yield Document(f"forged: schema.json {name}", forged("schema.json", text(content)), PREDICT)
    headers = {
        "a header without end": (2**60).to_bytes(8, "little") + b"{}",
        "a header of lists": (100_000).to_bytes(8, "little") + b"[" * 100_000,
        "offsets outside": _safetensors({"a": {"dtype": "F32", "shape": [1 << 40], "data_offsets": [0, 1 << 42]}}),
        "no tensor": _safetensors({}),
    }
    for name, binary in headers.items():
        yield Document(
            f"forged: model.safetensors with {name}",
            forged("model.safetensors", lambda path, binary=binary: path.write_bytes(binary)),
            PREDICT,
        )
    yield Document("forged: vocabulary of random bytes", forged("vocabulary-0.arrow", _random_bytes), PREDICT)
    yield Document("forged: vocabulary of lists", forged("vocabulary-0.arrow", _list_vocabulary), PREDICT, (0, 2))
    for name, codes in (("architecture", (2,)), ("weighting", (0, 2))):  # predictions need no weighting
        damage = forged("config.yaml", _replaced(name, "sly:Code"))
        yield Document(f"forged: a bundle that names code as {name}", damage, PREDICT, codes)
    for name, value in (
        ("dim", "4096"),
        ("experts", "4096"),
        ("replicas", "1000000000"),
        ("expert_hidden", "[65536, 65536, 65536]"),
    ):
        yield Document(f"forged: a bundle with {name} of {value}", forged("config.yaml", _replaced(name, value)), PREDICT)


def _safetensors(header: dict[str, Any]) -> bytes:
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text


def _random_bytes(path: Path) -> None:
    path.write_bytes(np.random.default_rng(0).bytes(500))


def _list_vocabulary(path: Path) -> None:
    table = pa.table({"id": pa.array([[1], [2]])})
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)


def _replaced(name: str, value: str) -> Callable[[Path], object]:
    """Return a function that sets a key of a YAML file to a text."""

    def replace(path: Path) -> None:
        lines = path.read_text().splitlines()
        kept = [line for line in lines if not line.startswith(f"{name}:")]
        path.write_text("\n".join([*kept, f"{name}: {value}"]))

    return replace


def damaged_runs() -> Iterator[Document]:
    """Documents of a comparison that is read again: a changed digit must not change the choice."""

    def digit(file: str, before: str, after: str) -> Callable[[Path], object]:
        def change(run: Path) -> None:
            text = (run / file).read_text()
            assert before in text, (file, before)
            (run / file).write_text(text.replace(before, after, 1))

        return change

    def undone(change: Callable[[Path], object]) -> Callable[[Path], object]:
        def damage(run: Path) -> None:
            (run / "DONE").unlink()
            change(run)

        return damage

    for model in ("mmoe", "shared_bottom"):
        yield Document(f"run: the best score of {model} changed", undone(digit(f"{model}/state.json", "0.", "0.9")), RESUME)
        yield Document(
            f"run: the best epoch of {model} changed",
            undone(digit(f"{model}/state.json", '\n   "epoch": ', '\n   "epoch": 7')),
            RESUME,
        )
        yield Document(f"run: no state of {model}", undone(lambda run, model=model: (run / model / "state.json").unlink()), RESUME)
        yield Document(f"run: no record of {model}", undone(lambda run, model=model: (run / model / RECORD).unlink()), RESUME)
    yield Document(
        "run: the choice changed",
        digit("comparison.json", '"architecture": "', '"architecture": "x'),
        ("predict", "RUN", "LOG", "--out", "s.csv"),
    )
    yield Document("run: a metric changed", digit("comparison.json", "0.5", "0.6"), ("report", "RUN"))
    yield Document("run: the history changed", digit("mmoe/metrics.jsonl", "0.", "0.1"), ("inspect", "RUN/mmoe", "LOG"))
    yield Document("run: other settings", undone(digit("config.yaml", "seed: 0", "seed: 1")), RESUME)
    yield Document("run: a record without files", lambda run: (run / RECORD).write_text("{}"), ("report", "RUN"))
    for name in ("comparison.json", "config.yaml"):
        words = ("report", "RUN") if name == "comparison.json" else RESUME
        yield Document(f"run: {name} as a pipe", undone(lambda run, name=name: damages()["as a pipe"](run / name)), words)

    def forged(content: str) -> Callable[[Path], object]:
        def damage(run: Path) -> None:
            (run / "comparison.json").write_text(content)
            write_manifest(run, {"run_version": 1}, RECORD, RECORDED)

        return damage

    for name, content in {
        "of another version": '{"comparison_version": 99}',
        "nested deeply": "[" * 200_000,
        "of lists": "[]",
        "of a huge version": '{"comparison_version": ' + "9" * 4000 + "}",
    }.items():
        yield Document(f"run: forged results {name}", forged(content), ("report", "RUN"))


def configurations() -> Iterator[Document]:
    bomb = "a: &a [x, x]\n" + "\n".join(f"{chr(98 + n)}: &{chr(98 + n)} [*{chr(97 + n)}, *{chr(97 + n)}]" for n in range(24))
    texts = {
        "aliases that multiply": bomb,
        "a merge of itself": "a: &a\n  <<: *a\n",
        "lists nested deeply": "dim: " + "[" * 50_000,
        "mappings nested deeply": "dim: " + "{a: " * 20_000,
        "an integer of 5,000 digits": "dim: " + "9" * 5_000,
        "a hexadecimal integer of 5,000 digits": "dim: 0x" + "f" * 5_000,
        "an integer of 60-base digits": "dim: " + "59:" * 4_000 + "1",
        "a long string": "dim: '" + "x" * 2_000_000 + "'",
        "a Python object": "dim: !!python/object/apply:os.system ['touch ran']",
        "a Python name": "dim: !!python/name:sly.touch",
        "a Python module": "dim: !!python/module:sly",
        "code as the architecture": "architecture: sly:Code",
        "code among the architectures": "architectures: [mmoe, 'sly:Code']",
        "code as the weighting": "weighting: 'sly:Code'",
        "a date of month 13": "dim: 2026-13-01",
        "an empty float": "dim: !!float ''",
        "binary that is none": "log: !!binary '***'",
        "a null byte": "log: 'a\0b'",
        "a name twice": "dim: 2\ndim: 3",
        "a list": "- a",
        "a number": "3",
        "nothing": "",
        "two documents": "---\ndim: 2\n---\ndim: 3",
        "a tab": "dim:\n\t- 2",
        "NaN and infinity": "learning_rate: .nan\nclip_norm: .inf",
        "a mapping for a number": "dim: {a: 1}",
        "booleans for numbers": "epochs: yes\nreplicas: no",
        "thousands of unknown names": "\n".join(f"name{n}: 1" for n in range(5_000)),
        "a name with control characters": '"\\e[2J": 1',
        "a log that is a device": "log: /dev/zero",
    }
    for name, content in texts.items():
        yield Document(
            f"config: {name}",
            lambda run, content=content: Path("c.yaml").write_text(content),
            ("train", "LOG", "--task", "click", "--config", "c.yaml", "--out", "new", *TINY),
            (0, 2) if name in FREE else (2,),
        )
    for name, make in {
        "a pipe": os.mkfifo,
        "a device": lambda path: Path(path).symlink_to("/dev/zero"),
        "a folder": os.mkdir,
    }.items():
        yield Document(f"config: {name}", lambda run, make=make: make("c.yaml"), ("train", "LOG", "--config", "c.yaml"))
    yield Document(
        "config: bytes", lambda run: Path("c.yaml").write_bytes(bytes(range(256))), ("train", "LOG", "--config", "c.yaml")
    )


def schemas() -> Iterator[Document]:
    good = "tasks: [{name: click}]\nfeatures: [{name: user, kind: sparse}]\n"
    texts = {
        "a feature twice": good.replace("[{name: user", "[{name: user, kind: sparse}, {name: user"),
        "thousands of tasks": "tasks: [" + ", ".join(f"{{name: t{n}}}" for n in range(3_000)) + "]\n" + good.partition("\n")[2],
        "a name of a megabyte": good.replace("user", "u" * 1_000_000),
        "a task after itself": good.replace("{name: click}", "{name: click, after: click}"),
        "two tasks after each other": good.replace(
            "[{name: click}]", "[{name: click, after: b}, {name: b, label: x, after: click}]"
        ),
        "a kind of code": good.replace("sparse", "'__import__(\"os\")'"),
        "a where of code": good.replace("{name: click}", "{name: click, where: \"__import__('os').system('touch ran')\"}"),
        "a width of 10^18": good.replace("kind: sparse", "kind: sparse, dim: 1000000000000000000"),
        "hash buckets of 10^18": good.replace("kind: sparse", "kind: sparse, buckets: 1000000000000000000"),
        "no feature": "tasks: [{name: click}]\nfeatures: []",
        "names of control characters": good.replace("user", '"\\e[2J"'),
    }
    for name, content in texts.items():
        yield Document(
            f"schema: {name}",
            lambda run, content=content: Path("s.yaml").write_text(content),
            ("train", "LOG", "--schema-file", "s.yaml", "--out", "new", *TINY),
        )


FREE = ("nothing", "a log that is a device", "booleans for numbers", "code among the architectures", "binary that is none")
"""Configurations that need not be refused: they say nothing to this call, or a flag overrides them."""
SLY = """
from pathlib import Path

def touch(*given):
    Path(__file__).with_name("ran").touch()

touch()
"""


def judge(document: Document, whole: Path, base: np.ndarray) -> tuple[str, list[str]]:
    """Try a document in the working folder."""
    shutil.copytree(whole, "run", symlinks=True)
    Path("sly.py").write_text(SLY)
    write_base(Path("log.parquet"))
    document.damage(Path("run"))
    words = [word.replace("RUN", "run").replace("LOG", "log.parquet") for word in document.words]
    done: Call = call(*words, before=lambda: resource.setrlimit(resource.RLIMIT_AS, (MOST_MEMORY, MOST_MEMORY)))
    problems = done.problems(document.codes)
    if Path("ran").exists():
        problems.append("code of the input ran")
    if done.seconds > 30:
        problems.append(f"took {done.seconds:.0f} s")
    if document.same and done.accepted and np.abs(pq.read_table("s.parquet").column(0).to_numpy() - base).max() > 1e-6:
        problems.append("accepted with other predictions")
    return "accepted" if done.accepted else "refused", problems


def main() -> None:
    tally, work = Tally.from_arguments("hostile bundles, runs and configurations"), work_folder()
    log = write_base(work / "log.parquet")
    made = call(
        "compare",
        log,
        "--task",
        "click",
        "--architectures",
        "mmoe,shared_bottom",
        "--replicas",
        "1",
        *TINY,
        "--min-count",
        "1",
        "--out",
        "whole",
    )
    assert made.accepted, made.err
    assert call("predict", work / "whole/mmoe", log, "--out", work / "s.parquet").accepted
    base = pq.read_table(work / "s.parquet").column(0).to_numpy()
    for number, document in enumerate(documents()):
        if tally.chooses(document.name):
            folder = work / f"{number:03d}"
            folder.mkdir()
            os.chdir(folder)
            tally.add(document.name, *judge(document, work / "whole", base))
            os.chdir(work)
            shutil.rmtree(folder, ignore_errors=True)
    tally.finish()


if __name__ == "__main__":
    main()
