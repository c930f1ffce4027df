"""A search of seconds for the tests: one graph shape, a few hundred frames of the smoke corpus."""
import json
import os
import signal
from pathlib import Path
from unittest.mock import patch

from dbn.training.state import RunState
from experiments import sweep
from experiments.profiles import Choice, LogUniform
from experiments.search import rungs
from experiments.search.worker import train_point
from experiments.steps.options import parse, run_script

SPACE = {"layers": Choice(1), "units": Choice(4, 8, 12), "pretrain_lr": LogUniform(1e-3, 1e-1),
         "finetune_lr": LogUniform(1e-2, 1.0), "pretrain_epochs": Choice(0, 1), "batch_size": Choice(10, 20)}


def folder_like(smoke_run, out):
    """A results folder with the corpus and the frames of another."""
    out.mkdir(parents=True)
    for name in ("corpus", "frames"):
        (out / name).symlink_to(smoke_run / name)
    return out


def options(out, *arguments, points=6):
    """Of a search of `points` points with three rungs of 34, 100 and 300 frames, in one process.

    The first rung has 14 epochs, the others 16. By their cost two points of six reach the second rung and one the last.
    """
    return parse("", ["--profile", "smoke", "--out", str(out), "--jobs", "1", "--sweep-points", str(points),
                      "--sweep-epochs", "16", "--sweep-frames", "300", "--sweep-valid-frames", "200",
                      "--sweep-seconds", "0.0035", "--hidden-layers-sizes", "6", "--finetune-lr", "0.3", *arguments],
                 sweep.OWN_OPTIONS)


def search(options):
    """The folder of a search whose rungs may be this small."""
    with patch.dict(rungs.LEAST_FRAMES, train=30, valid=50):
        return sweep.search(options, SPACE)


def records(folder):
    """The records in a search's folder, by rung and file name, without what no two runs share: times."""
    found = {}
    for name, path in _paths(folder).items():
        record = json.loads(path.read_text())
        for entry in [record, *record["history"]]:
            del entry["seconds"]
        found[name] = record
    return found


def inodes(folder):
    """By rung and file name, which file each record is: another one after the record was written again."""
    return {name: path.stat().st_ino for name, path in _paths(folder).items()}


def _paths(folder):
    return {f"{path.parent.name}/{path.name}": path for path in sorted(Path(folder).glob("rung-*/[!.]*.json"))}


def train_point_or_die(folder, inputs, point, *others):
    """What a worker does, but the first one that comes to point 2 is killed after its first epoch."""
    died = folder.parent / "died"
    if point.number == 2 and not died.exists():
        died.touch()
        finish_epoch = RunState.finish_epoch

        def finish_epoch_and_die(self, values, **record):
            finish_epoch(self, values, **record)
            os.kill(os.getpid(), signal.SIGKILL)

        RunState.finish_epoch = finish_epoch_and_die
    return train_point(folder, inputs, point, *others)


def main(argv):
    """The search as a script: the results folder, then options."""
    search(options(*argv))


if __name__ == "__main__":
    import sys
    run_script(main, sys.argv[1:])
