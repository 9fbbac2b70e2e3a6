"""This room renders the report of a comparison or of a training run: a single HTML page that opens from disk."""

from manygate.report.page import headline, html_summary, render, write_report

__all__ = ["headline", "html_summary", "render", "write_report"]
