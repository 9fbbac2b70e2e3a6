"""The documents that a run writes, as typed and versioned models: terminal, report, notebook and JSON read the same object.

``docs/results.md`` describes every field; ``docs/schemas/`` has the JSON schemas, which ``make docs`` writes from these models.
"""
