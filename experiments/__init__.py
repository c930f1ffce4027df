"""The paper's experiments: one script for every table and figure."""
import os

# One BLAS thread a process, workers included: on matrices of this size more of them only wait for each other. The
# libraries read this when they are loaded, so it stands before every import of theirs.
for _variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_variable, "1")
