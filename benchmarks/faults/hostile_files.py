"""Tables of ``tables.py`` as odd texts, broken files and odd paths, each with what should become of it."""

from __future__ import annotations

import gzip
import os
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.feather as pf
from attempts import ROWS, base_columns
from hostile_tables import ANY, BAD, GOOD, Table, base_csv, parquet, write_bytes


def file_tables() -> Iterator[Table]:
    """Yield every table of this file."""
    yield from csv_texts()
    yield from broken_files()
    yield from odd_paths()


def csv_texts() -> Iterator[Table]:
    text = base_csv()
    lines = text.splitlines()
    head, body = lines[0], lines[1:]
    texts: dict[str, tuple[str, bytes, int | None]] = {
        "only a header": (BAD, f"{head}\n".encode(), None),
        "no line": (BAD, b"", None),
        "an empty line": (BAD, b"\n", None),
        "one row": (BAD, f"{head}\n{body[0]}\n".encode(), None),
        "empty lines between": (ANY, "\n\n".join(lines).encode(), None),
        "an empty first line": (ANY, f"\n{text}".encode(), None),
        "a comment first": (ANY, f"# made by hand\n{text}".encode(), None),
        "a line that is too short": (BAD, "\n".join([*lines[:50], "u1,0.5", *lines[50:]]).encode(), None),
        "a line that is too long": (BAD, "\n".join([*lines[:50], "u1,0.5,CH,1,1", *lines[50:]]).encode(), None),
        "a quote that is not closed": (BAD, "\n".join([*lines[:50], 'u1,0.5,"CH,1', *lines[50:]]).encode(), None),
        "a quote in the middle": (ANY, "\n".join([*lines[:50], 'u1,0.5,C"H,1', *lines[50:]]).encode(), None),
        "a trailing separator": (ANY, "\n".join(f"{line}," for line in lines).encode(), None),
        "no header": (ANY, "\n".join(body).encode(), None),
        "a header with a name twice": (BAD, text.replace("country", "user", 1).encode(), None),
        "a header with an empty name": (ANY, text.replace("country", "", 1).encode(), None),
        "NUL bytes": (ANY, text.replace("CH", "C\x00H").encode(), None),
        "bytes that are not UTF-8": (BAD, text.replace("CH", "Zürich").encode("latin-1"), None),
        "words in a column of numbers": (ANY, text.replace("\n", "\n", 1).replace(body[140], "u1,many,CH,1").encode(), None),
        "numbers with a decimal comma": (
            ANY,
            "\n".join(";".join(v.replace(".", ",") for v in line.split(",")) for line in lines).encode(),
            None,
        ),
        "a field of a megabyte": (GOOD, text.replace("CH", "C" * 1_000_000, 1).encode(), ROWS),
        "a field over many lines": (ANY, text.replace("CH", '"C' + "\n" * 60 + 'H"', 1).encode(), None),
        "a number of 5,000 digits": (ANY, text.replace(body[3].split(",")[1], "9" * 5000, 1).encode(), None),
        "only carriage returns": (ANY, text.replace("\n", "\r").encode(), None),
        "mixed line ends": (ANY, text.replace("\n", "\r\n", 40).encode(), None),
        "HTML": (BAD, b"<!doctype html><html><body>Not found</body></html>\n", None),
        "JSON lines": (BAD, b'{"user": "a", "click": 1}\n' * 50, None),
        "JSON": (BAD, b'[{"user": "a", "click": 1}]', None),
        "random bytes": (BAD, np.random.default_rng(0).bytes(20_000), None),
        "zeros": (BAD, bytes(20_000), None),
        "a git-lfs pointer": (BAD, b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n", None),
    }
    for name, (expected, content, rows) in texts.items():
        yield Table(f"csv: {name}", expected, lambda folder, content=content: write_bytes(folder / "log.csv", content), rows=rows)


def broken_files() -> Iterator[Table]:
    def whole(folder: Path) -> bytes:
        return parquet()(folder).read_bytes()

    for share in (0.0, 0.001, 0.3, 0.6, 0.9, 0.999):

        def cut(folder: Path, share: float = share) -> Path:
            content = whole(folder)
            return write_bytes(folder / "log.parquet", content[: int(share * len(content))])

        yield Table(f"files: Parquet cut at {share:.1%}", BAD, cut)
    for place in np.random.default_rng(0).random(12).round(3).tolist():

        def flip(folder: Path, place: float = place) -> Path:
            content = bytearray(whole(folder))
            content[int(place * len(content))] ^= 4
            return write_bytes(folder / "log.parquet", bytes(content))

        yield Table(f"files: Parquet with a flipped bit at {place:.1%}", ANY, flip)
    for name in ("log.parquet", "log.arrow", "log.csv.gz", "log.csv.zst", "log.feather"):
        yield Table(
            f"files: random bytes named {name}",
            BAD,
            lambda folder, name=name: write_bytes(folder / name, np.random.default_rng(1).bytes(5_000)),
        )
        yield Table(f"files: an empty {name}", BAD, lambda folder, name=name: write_bytes(folder / name, b""))
    yield Table("files: a CSV named .parquet", BAD, lambda folder: write_bytes(folder / "log.parquet", base_csv().encode()))
    yield Table("files: a Parquet named .csv", BAD, lambda folder: write_bytes(folder / "log.csv", whole(folder)))
    yield Table("files: a zip named .csv", BAD, _zip)
    yield Table(
        "files: gzip cut short", BAD, lambda folder: write_bytes(folder / "log.csv.gz", gzip.compress(base_csv().encode())[:-20])
    )
    yield Table("files: gzip with a flipped bit", BAD, _flipped_gzip)
    yield Table("files: an Arrow file cut short", BAD, _cut_arrow)
    yield Table("files: Parquet that claims rows without end", BAD, _claims)


def _zip(folder: Path) -> Path:
    with zipfile.ZipFile(folder / "log.csv", "w") as file:
        file.writestr("log.csv", base_csv())
    return folder / "log.csv"


def _flipped_gzip(folder: Path) -> Path:
    content = bytearray(gzip.compress(base_csv().encode()))
    content[len(content) // 2] ^= 16
    return write_bytes(folder / "log.csv.gz", bytes(content))


def _cut_arrow(folder: Path) -> Path:
    pf.write_feather(pa.table(base_columns()), folder / "log.arrow", compression="uncompressed")
    content = (folder / "log.arrow").read_bytes()
    return write_bytes(folder / "log.arrow", content[: len(content) // 2])


def _claims(folder: Path) -> Path:
    content = bytearray(parquet()(folder).read_bytes())
    length = int.from_bytes(content[-8:-4], "little")
    content[-8:-4] = (length * 100_000 % 2**32).to_bytes(4, "little")
    return write_bytes(folder / "log.parquet", bytes(content))


def odd_paths() -> Iterator[Table]:
    def fifo(folder: Path) -> Path:
        os.mkfifo(folder / "log.csv")
        return folder / "log.csv"

    def fifo_in_a_folder(folder: Path) -> Path:
        parquet()(folder)
        os.mkfifo(folder / "more.parquet")
        return folder

    def link(target: str) -> Callable[[Path], Path]:
        def write(folder: Path) -> Path:
            (folder / "log.csv").symlink_to(target)
            return folder / "log.csv"

        return write

    def circle(folder: Path) -> Path:
        parquet()(folder)
        (folder / "again").symlink_to(folder)
        return folder

    def named(name: str) -> Callable[[Path], Path]:
        def write(folder: Path) -> Path:
            return Path(parquet()(folder).rename(folder / name))

        return write

    def several_formats(folder: Path) -> Path:
        parquet()(folder)
        write_bytes(folder / "log.csv", base_csv().encode())
        return folder

    yield Table("paths: a pipe", BAD, fifo)
    yield Table("paths: a pipe in a folder", BAD, fifo_in_a_folder)
    yield Table("paths: a link to an endless device", BAD, link("/dev/zero"))
    yield Table("paths: a link to a terminal", BAD, link("/dev/tty"))
    yield Table("paths: a link to itself", BAD, link("log.csv"))
    yield Table("paths: a link to nothing", BAD, link("gone.csv"))
    yield Table("paths: a link to the folder in the folder", ANY, circle, rows=None)
    yield Table("paths: nothing", BAD, lambda folder: folder / "log.parquet")
    yield Table("paths: an empty folder", BAD, lambda folder: folder)
    yield Table("paths: a folder with two formats", BAD, several_formats)
    for name in (
        "a b.parquet",
        "a'b.parquet",
        "\x1b[2J.parquet",
        "ü.parquet",
        "[1].parquet",
        "*.parquet",
        "-x.parquet",
        "a\nb.parquet",
    ):
        yield Table(f"paths: {name!r}", ANY if name[0] in "[*-" else GOOD, named(name))
    yield Table(
        "paths: bytes that are not UTF-8",
        GOOD,
        lambda folder: Path(parquet()(folder).rename(folder / os.fsdecode(b"\xff.parquet"))),
    )
