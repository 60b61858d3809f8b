"""HiGHS (https://highs.dev) on one thread, with a bound on its work and on its time.

It is loaded when the first programme is asked for: a site whose vehicles never say when they leave does not carry its 22 MB.
"""

from __future__ import annotations

from typing import Any, Final

from edgectl.domain.programme import Programme

GAP: Final = 1e-3
"""Good enough: this near the best."""
NODES_MAX: Final = 200
"""Beyond the first relaxation; a bound on work, so that the answer does not depend on how busy the machine is."""
TIME_MAX_S: Final = 8.0
"""What is best by then counts."""


class SolveError(Exception):
    """There is no answer, and why."""


def solve(programme: Programme) -> tuple[float, ...]:
    """The value of each column.

    Raises:
        SolveError: HiGHS found nothing that fits, or not in time.
    """
    import highspy
    import numpy as np

    columns, rows = programme.columns, programme.rows
    lp: Any = highspy.HighsLp()
    lp.num_col_, lp.num_row_ = len(columns), len(rows)
    lp.sense_ = highspy.ObjSense.kMaximize
    lp.col_cost_ = np.array([column.gain for column in columns])
    lp.col_lower_ = np.zeros(len(columns))
    lp.col_upper_ = np.array([column.top for column in columns])
    lp.row_lower_ = np.full(len(rows), -highspy.kHighsInf)
    lp.row_upper_ = np.array([row.bound for row in rows])
    lp.a_matrix_.format_ = highspy.MatrixFormat.kRowwise
    lp.a_matrix_.start_ = np.cumsum([0, *(len(row.entries) for row in rows)])
    lp.a_matrix_.index_ = np.array([column for row in rows for column, _ in row.entries])
    lp.a_matrix_.value_ = np.array([factor for row in rows for _, factor in row.entries])
    kinds = (highspy.HighsVarType.kContinuous, highspy.HighsVarType.kInteger)
    if any(column.is_choice for column in columns):
        lp.integrality_ = [kinds[column.is_choice] for column in columns]

    make: Any = highspy.Highs
    highs = make()
    for name, value in (
        ("output_flag", False),
        ("threads", 1),
        ("random_seed", 1),
        ("mip_rel_gap", GAP),
        ("mip_max_nodes", NODES_MAX),
        ("time_limit", TIME_MAX_S),
    ):
        highs.setOptionValue(name, value)
    if highs.passModel(lp) == highspy.HighsStatus.kError:
        raise SolveError("HiGHS does not take the programme")
    highs.run()
    solution = highs.getSolution()
    if not solution.value_valid or highs.getInfo().primal_solution_status != highspy.SolutionStatus.kSolutionStatusFeasible:
        raise SolveError(f"HiGHS: {highs.modelStatusToString(highs.getModelStatus())}")
    return tuple(solution.col_value)
