"""The other servers edgectl is measured beside, each a process: ``python -m benchmarks.servers.NAME PORT``."""
