"""What the hooks cost, measured: `make bench` runs `python -m benchmarks`."""
