"""Write README.md of this folder from results.json: python experiments/demo/table.py"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from run import HERE, RESULTS

HEAD = """# Does the demo tell its story on fresh seeds?

`manygate demo` compares on a log whose truth is known, and says which of three claims it finds: sharing helps the rare task, a
bottom that is too narrow hurts another, and gates take this harm away. Its settings were chosen on the seeds 0 to 5, by pilot runs
that were not kept. These are other seeds, one run each, which chose nothing.
`narrow.json` has five runs of earlier settings, with embeddings of 4 numbers. `run.py` makes `results.json`, `table.py` this page.
"""


def lines_of(entries: list[dict[str, Any]]) -> Iterator[str]:
    """Return a table of the seeds."""
    texts = [claim["text"].rstrip(".") for claim in entries[0]["claims"][:1]]
    yield f"| seed | {texts[0]} | shared_bottom hurts click or like | the gates take it away | headline |"
    yield "|---|---|---|---|---|"
    for entry in entries:
        found = " | ".join(claim["found"] for claim in entry["claims"])
        yield f"| {entry['seed']} | {found} | {entry['headline']} |"


def main() -> None:
    results = json.loads(RESULTS.read_text(encoding="utf-8"))
    parts = [HEAD.rstrip("\n")]
    for quick in (False, True):
        entries = sorted((entry for entry in results if entry["quick"] == quick), key=lambda entry: int(entry["seed"]))
        if not entries:
            continue
        claims = [claim["found"] for entry in entries for claim in entry["claims"]]
        whole = sum(all(claim["found"] == "found" for claim in entry["claims"]) for entry in entries)
        command = "manygate demo --quick" if quick else "manygate demo"
        counts = f"{claims.count('found')} of {len(claims)} claims are found and {claims.count('contradicted')} contradicted"
        parts += [
            "",
            f"## `{command}`",
            "",
            f"All of the story on **{whole} of {len(entries)}** seeds; {counts}.",
            "",
            *lines_of(entries),
        ]
    (HERE / "README.md").write_text("\n".join([*parts, ""]), encoding="utf-8")


if __name__ == "__main__":
    main()
