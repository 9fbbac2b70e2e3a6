"""The environment of the pages: values are escaped, unknown names are errors."""

from __future__ import annotations

import pytest
from jinja2 import TemplateNotFound, UndefinedError

from manygate.report.templates import environment


def shown(template: str, **values: object) -> str:
    return environment().from_string(template).render(values)


def test_values_are_escaped() -> None:
    assert shown("{{ name }}", name="<b> & 'x'") == "&lt;b&gt; &amp; &#39;x&#39;"


def test_an_unknown_name_is_an_error() -> None:
    with pytest.raises(UndefinedError, match="'nothing' is undefined"):
        shown("{{ nothing }}")
    with pytest.raises(UndefinedError, match="nothing"):
        shown("{{ known.nothing }}", known={"a": 1})


def test_lines_of_statements_leave_no_blank_lines() -> None:
    assert shown("{% if true %}\n  a\n  {% endif %}\nb") == "  a\nb"


def test_lists_and_flags_are_filters() -> None:
    assert shown("{{ words|listed }}", words=["a", "<b>", "c"]) == "a, &lt;b&gt; and c"
    assert shown("{{ text|flags }}", text="try --dim 4 <x>") == "try <code>--dim 4</code> &lt;x&gt;"


def test_marks_of_styles_are_global() -> None:
    assert shown("{{ mark(9) }} {{ shapes|length }} {{ dashes|length }}") == "4 8 8"


def test_one_environment_has_the_templates_of_the_package() -> None:
    assert environment() is environment()
    for name in ("report/report.html.j2", "report/summary.html.j2", "report/fusion.html.j2"):
        assert environment().get_template(name)
    with pytest.raises(TemplateNotFound):
        environment().get_template("report.html.j2")
