"""The parts of ``benchmarks/serving.py``: a load generator, the servers, what is measured."""
