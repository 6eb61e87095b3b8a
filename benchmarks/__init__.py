"""Measurements behind every figure in README and docs: `uv run --group benchmarks python -m benchmarks.run NAME`."""
