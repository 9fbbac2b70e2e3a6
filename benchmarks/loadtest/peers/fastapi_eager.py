"""A server as users write one today: FastAPI, a pydantic model of the request, pandas, and the trained PyTorch model.

    python fastapi_eager.py RUN PORT

The model is called in the event loop. In threads (``IN_THREADS=1``), as FastAPI calls a plain function, it serves fewer requests a
second on one core.
"""

from __future__ import annotations

import os
import sys
from typing import Any

import pandas as pd
import torch
import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel

import manygate as mg

RUN, PORT = sys.argv[1], int(sys.argv[2])
torch.set_num_threads(1)
ranker = mg.Ranker.load(RUN)
app = FastAPI()


class RankRequest(BaseModel):
    context: dict[str, Any]
    candidates: dict[str, list[Any]]
    by: str
    top: int = 10


class RankResponse(BaseModel):
    by: str
    ids: list[int]
    scores: dict[str, list[float]]


def rank(request: RankRequest) -> RankResponse:
    frame = pd.DataFrame(request.candidates).assign(**request.context)
    scores = ranker.predict(frame)
    best = scores.sort_values(request.by, ascending=False, kind="stable").head(request.top)
    return RankResponse(by=request.by, ids=best.index.tolist(), scores=best.to_dict("list"))


if os.environ.get("IN_THREADS"):
    app.post("/v1/rank")(rank)
else:

    @app.post("/v1/rank")
    async def rank_in_the_loop(request: RankRequest) -> RankResponse:
        return rank(request)


@app.get("/health")
def health() -> dict[str, str]:
    return {"status": "ready"}


uvicorn.run(app, host="127.0.0.1", port=PORT, log_level="warning")
