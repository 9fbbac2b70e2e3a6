"""The form of a CSV file is recognised, or the error says which setting to give."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from manygate.config import CsvConfig
from manygate.data.formats.csv_dialect import find_dialect
from manygate.data.table import open_table
from manygate.errors import InputError
from tables import problems, read

ROWS = {"user": ["a", "b", "a"], "city": ["Zürich", "Bern, West", "x;y"], "click": [0, 1, 1]}


def write(path: Path, encoding: str = "utf-8", **form: object) -> Path:
    with path.open("w", encoding=encoding, newline="") as file:
        writer = csv.writer(file, **form)
        writer.writerow(ROWS)
        writer.writerows(zip(*ROWS.values(), strict=True))
    return path


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
@pytest.mark.parametrize("name", ["a.csv", "a.tsv"])
def test_separators_are_recognised(tmp_path: Path, separator: str, name: str) -> None:
    assert read(open_table(write(tmp_path / name, delimiter=separator))) == ROWS


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_unicode_is_recognised(tmp_path: Path, encoding: str) -> None:
    assert read(open_table(write(tmp_path / "a.csv", encoding))) == ROWS


@pytest.mark.parametrize("ending", ["\n", "\r\n"])
def test_excel_names_its_separator(tmp_path: Path, ending: str) -> None:
    (tmp_path / "a.csv").write_bytes(f"sep=;{ending}a;b{ending}1,5;x{ending}".encode())
    assert read(open_table(tmp_path / "a.csv")) == {"a": ["1,5"], "b": ["x"]}


def test_a_given_form_is_taken(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", delimiter=":", quotechar="'")
    assert read(open_table(path, csv=CsvConfig(separator=":", quote="'"))) == ROWS
    path = write(tmp_path / "b.csv", delimiter=" ", quoting=csv.QUOTE_ALL)
    assert read(open_table(path, csv=CsvConfig(separator="space"))) == ROWS


def test_an_unclear_separator_is_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("a,b;c;d\n1,2;3;4\n5,6;7;8\n")
    [problem] = problems(path)
    assert "2 columns separated by commas or 3 columns separated by semicolons" in problem
    assert "separator='semicolon'" in problem
    assert open_table(path, csv=CsvConfig(separator="semicolon")).column_names == ("a,b", "c", "d")
    path.write_text("user item click\n1 2 1\n3 4 0\n")
    assert "separated by spaces" in problems(path)[0]
    path.write_text("user,tag|s,n\na,x|y,1\nb,z|y,2\n")
    assert open_table(path).column_names == ("user", "tag|s", "n")


def test_backslashes_before_quotes_are_recognised_late_too(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("n,c\n" + "1,x\n" * 100_000 + r'2,"say \"hi\", you"' + "\n")
    assert read(open_table(path))["c"][-1] == 'say "hi", you'
    path.write_text(r"n,c" + "\n" + r'1,"C:\"' + "\n" + r'2,"say ""hi"""' + "\n")
    assert read(open_table(path))["c"] == ["C:\\", 'say "hi"']
    assert find_dialect(str(path), CsvConfig()).escape is None
    path.write_text('n,c\n1,"a \\"b\\" c"\n')
    assert find_dialect(str(path), CsvConfig()).escape == "\\"
    assert find_dialect(str(path), CsvConfig(escape="none")).escape is None


@pytest.mark.parametrize(
    "text",
    ["1\t0.5\t7f\n0\t1.5\t8a\n", "5,0\n6,1\n", "0,1\n1,0\n", "alice,shoes\nbob,shirt\nalice,shirt\nbob,shoes\n", ",1\n2,3\n"],
)
def test_values_in_place_of_names_are_asked_about(tmp_path: Path, text: str) -> None:
    path = tmp_path / ("a.tsv" if "\t" in text else "a.csv")
    path.write_text(text)
    [problem] = problems(path)
    assert "the first line looks like values and not like names" in problem
    assert "header=False" in problem
    without = open_table(path, csv=CsvConfig(header=False))
    assert without.column_names[:2] == ("column_1", "column_2")
    assert without.count() == text.count("\n")
    assert open_table(path, csv=CsvConfig(header=True)).count() == text.count("\n") - 1


@pytest.mark.parametrize(
    "text",
    ["user,2019,2020\na,1,2\n", "0,1,2,3\n5,6,7,8\n", ",user,click\n0,a,1\n1,b,0\n", "M,F\nM,x\n", "n,click\n", "a\nb\n"],
)
def test_names_are_taken_for_names(tmp_path: Path, text: str) -> None:
    path = tmp_path / "a.csv"
    path.write_text(text)
    if text.startswith("user,2019"):
        with pytest.raises(InputError, match="header=True"):
            open_table(path)
        path.write_text("user,item,2020\na,1,2\n")
    assert open_table(path).count() == text.count("\n") - 1


def test_a_file_of_blanks_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("\n\n")
    assert "holds no line of text" in problems(tmp_path / "a.csv")[0]


def test_names_with_zero_bytes_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(b"a\x00,b\n1,2\n")
    [problem] = problems(tmp_path / "a.csv")
    assert "the name of a column holds a zero byte" in problem


def test_a_first_line_without_an_end_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text('"' + "x" * 200_000 + "\na,b\n1,2\n")
    [problem] = problems(tmp_path / "a.csv")
    assert "the first line cannot be read as CSV" in problem
    (tmp_path / "a.csv").write_text('a,b\n1,"' + "x" * 200_000 + '"\n')
    assert open_table(tmp_path / "a.csv").count() == 1


@pytest.mark.parametrize(
    ("row", "escape"),
    [
        (r'1,"a \"b\" c"', "\\"),
        (r'1,"\"a, b\""', "\\"),
        (r'1,"C:\"', None),
        ('"7","\\","a\nb"', None),
        (r"1,5\" nail", None),
        (r'1,"say ""hi\"""', None),
        (r'1,"a\"",2', "\\"),
    ],
)
def test_escapes_need_a_line_that_is_wrong_without_them(tmp_path: Path, row: str, escape: str | None) -> None:
    names = ",".join("abc"[: 3 if row.count(",") > 1 and "b," not in row and "a, b" not in row else 2])
    (tmp_path / "a.csv").write_text(f"{names}\n{row}\n")
    assert find_dialect(str(tmp_path / "a.csv"), CsvConfig()).escape == escape
