"""LitServe with the exported model, which ONNX Runtime predicts.

python litserve_exported.py MODEL PORT
"""

from __future__ import annotations

import sys
from typing import Any

import litserve
import numpy as np
import pyarrow as pa

from manygate.scoring.exported_model import ExportedModel

MODEL, PORT = sys.argv[1:]


class Rank(litserve.LitAPI):
    def setup(self, device: str) -> None:
        self.model = ExportedModel.load(MODEL, threads=1)

    def predict(self, request: dict[str, Any]) -> dict[str, Any]:
        context = pa.RecordBatch.from_pylist([request["context"]])
        scores = self.model.columns(pa.RecordBatch.from_pydict(request["candidates"]), context=context)
        best = np.argsort(-scores[request["by"]], kind="stable")[: request["top"]]
        return {"by": request["by"], "ids": best.tolist(), "scores": {name: score[best].tolist() for name, score in scores.items()}}


if __name__ == "__main__":
    server = litserve.LitServer(Rank(api_path="/v1/rank"), accelerator="cpu", workers_per_device=1)
    server.run(host="127.0.0.1", port=int(PORT), num_api_servers=1, generate_client_file=False, log_level="warning")
