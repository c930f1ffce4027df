"""Measure the speed and memory of every part: make bench."""
import argparse
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path

from threadpoolctl import threadpool_limits

from experiments.bench import convolutional, extraction, later, report, runs, startup, svm, training
from experiments.bench.common import FULL, QUICK
from experiments.bench.curves import minibatch_curve, width_curve
from experiments.bench.profile import profiles
from experiments.steps.options import run_script

# in the order of the report; each adds to the rows, the profiles or the curves
SECTIONS = ("finetuning", "pretraining", "convolutional", "options", "features", "store", "svm", "runs", "startup",
            "curves", "profile")


def main(argv=None):
    """Measure the sections that are asked for, write and print the report."""
    argv = sys.argv[1:] if argv is None else argv
    parser = argparse.ArgumentParser(prog="python -m experiments.bench", description=__doc__,
                                     formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("results"), help="folder of bench.md, bench.json, bench.png")
    parser.add_argument("--only", nargs="+", choices=SECTIONS, metavar="SECTION", default=list(SECTIONS),
                        help=f"what to measure, of {', '.join(SECTIONS)}")
    parser.add_argument("--quick", action="store_true", help="tiny sizes: shows in seconds that everything works")
    options = parser.parse_args(argv)
    sizes = QUICK if options.quick else FULL
    with threadpool_limits(1, user_api="blas"), tempfile.TemporaryDirectory() as folder:
        measured = measure(options.only, sizes, Path(folder))
    report.write(options.out, report.result_of(measured, argv, options.quick))


def measure(sections, sizes, folder):
    """Run some of :data:`SECTIONS`.

    Parameters
    ----------
    sections : sequence of str
    sizes : experiments.bench.common.Sizes
    folder : pathlib.Path
        For clips and stores, 6 GB of them at the full sizes.

    Returns
    -------
    dict
        ``rows`` of :func:`experiments.bench.common.row`, ``profiles`` of :func:`experiments.bench.profile.profiles`,
        ``curves`` (a list of points for ``clips``, ``units`` and ``batch_sizes``), and the ``sizes``.
    """
    rows, curves, profiled = [], {}, []
    for section in SECTIONS:
        if section not in sections:
            continue
        if section == "runs":
            more, curves["clips"] = runs.run_rows(sizes, folder)
            rows += more
        elif section == "curves":
            curves |= {"units": width_curve(sizes), "batch_sizes": minibatch_curve(sizes)}
        elif section == "profile":
            profiled = profiles(sizes)
        else:
            rows += ROWS[section](sizes, folder)
    return {"rows": rows, "profiles": profiled, "curves": curves, "sizes": asdict(sizes)}


ROWS = {"finetuning": lambda sizes, _: training.finetuning_rows(sizes),
        "pretraining": lambda sizes, _: training.pretraining_rows(sizes),
        "convolutional": lambda sizes, _: convolutional.convolutional_rows(sizes),
        "options": lambda sizes, _: later.option_rows(sizes),
        "features": extraction.feature_rows, "store": extraction.store_rows,
        "svm": lambda sizes, _: svm.svm_rows(sizes), "startup": lambda sizes, _: startup.startup_rows(sizes)}


if __name__ == "__main__":
    run_script(main)
