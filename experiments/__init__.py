"""The paper's experiments: one script for every table and figure.

``profiles`` has every number that they use, ``paper`` the paper's own figures. What the scripts share is in ``steps``;
``search``, ``tagging``, ``questions``, ``page`` and ``bench`` are rooms of their own.
"""
import os
import sys

from dbn.system.interrupts import end_at_interrupt
from dbn.system.moved import keep_old_places

if sys.argv[:1] == ["-m"]:  # as Python has it while ``python -m experiments.NAME`` looks for the script
    end_at_interrupt()

# One BLAS thread a process, workers included: on matrices of this size more of them only wait for each other. The
# libraries read this when they are loaded, so it stands before every import of theirs.
for _variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_variable, "1")

keep_old_places({f"experiments.{name}": f"experiments.steps.{name}"
                 for name in ("learned", "options", "pipeline", "reporting")})
