"""What a user waits for before anything happens: imports, and the first training call on a warm cache.

Run as a script this module is one such first call in a fresh process; it prints the seconds.
"""
import json
import subprocess
import sys
import time
from functools import partial

import numpy as np

from experiments.bench.common import alternate, row
from experiments.bench.library import FINETUNE_LR, Library, frames
from experiments.bench.runs import in_fresh_process

STAGES = ("pretraining", "finetuning")
# the second is what PyTensor itself loads as soon as a function is compiled, in its default mode
IMPORTS = {"import pytensor": 0.5, "import pytensor.link.numba.dispatch": None}
LIBRARY = "import dbn.training.loops"


def startup_rows(sizes):
    """Imports and first calls, each in a fresh process; the first of each kind, which fills caches, is not counted."""
    contestants = {statement: partial(_run, statement) for statement in (LIBRARY, *IMPORTS)}
    seconds = alternate(contestants, sizes.starts, "imports")
    rows = [row(f"{LIBRARY}, the whole of the training code", peer, seconds[LIBRARY] - seconds[peer], "s more", target,
                at_most=True, note=f"{np.median(seconds[LIBRARY]):.2f} s against {np.median(seconds[peer]):.2f} s")
            for peer, target in IMPORTS.items()]
    for stage in STAGES:
        values = [in_fresh_process("experiments.bench.startup", stage) for _ in range(sizes.starts + 1)][1:]
        rows.append(row(f"first call of {stage}, warm cache", "", values, "s", 3.0, at_most=True,
                        note="building the network and its compiled epoch, one minibatch; imports not counted"))
    return rows


def _run(statement):
    subprocess.run([sys.executable, "-c", statement], check=True)


def first_call(stage):
    """Seconds from the data to the end of the first minibatch; `stage` is one of :data:`STAGES`."""
    x, y = frames(20)
    began = time.perf_counter()
    getattr(Library(x, y), stage)()(np.arange(20), 20, FINETUNE_LR)
    return time.perf_counter() - began


if __name__ == "__main__":
    print(json.dumps(first_call(sys.argv[1])))
