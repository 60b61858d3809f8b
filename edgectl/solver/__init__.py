"""Solving what the core asks: linear programmes by HiGHS, off the loop."""

from edgectl.solver.worker import SolverInPlace, SolverThread

__all__ = ["SolverInPlace", "SolverThread"]
