"""What scripts/bench_peers.py is made of. The modules that import torch say so; the others work without it."""
