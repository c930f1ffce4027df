"""Records of a search as it writes them, made up; and its report on them."""
import json
from dataclasses import asdict

import numpy as np

from dbn.training.settings import TrainingSettings
from experiments.search import report
from experiments.steps.options import parse

SETTINGS = asdict(TrainingSettings(
    hidden_layers_sizes=(50, 50, 50), output="softmax", pretrain_lr=0.001, pretrain_epochs=5, finetune_lr=0.1,
    finetune_epochs=27, batch_size=20, patience=75)) | {"scaling": "minmax"}


def record(point, errors=(), status="finished", seconds=3.0, best=True, **changes):
    """What the search writes of a point with these validation errors."""
    history = [{"stage": "pretrain", "layer": 1, "epoch": 1, "cost": -9.0, "seconds": 1.0}]
    history += [{"stage": "finetune", "epoch": epoch, "cost": 1.0, "valid_error": error, "seconds": 1.0}
                for epoch, error in enumerate(errors, 1)]
    has_best = best and len(errors) > 0
    return {"point": point, "settings": SETTINGS | changes, "seed": 0, "status": status,
            "stopped": "patience" if status == "finished" else None, "epochs": len(errors),
            "error": "the cost is no longer a number" if status == "diverged" else None,
            "best_error": min(errors) if has_best else None,
            "best_epoch": int(np.argmin(errors)) + 1 if has_best else None, "history": history, "seconds": seconds,
            "versions": {"numpy": "2.4"}, "n_parameters": 26_000 if has_best else None}


def diverged(point, **changes):
    return record(point, [0.9], "diverged", best=False, **changes)


RUNGS = {f"rung-{i}": {"train": n, "valid": 500, "epochs": epochs} for i, (n, epochs) in enumerate(
    ((333, 5), (1000, 9)), 1)}


def in_rungs(entry):
    """The records of a point in its rungs, where `entry` is that of the last rung, or of one that was halved."""
    status = "finished" if entry["status"] == "halved" else entry["status"]
    records = [entry | {"status": status, "settings": entry["settings"] | {"finetune_epochs": rung["epochs"]}}
               for rung in RUNGS.values()]
    return records[:1] if entry["status"] == "halved" else records


def merged(entry):
    """What the report makes of these records."""
    return report.merged(in_rungs(entry), len(RUNGS))


def write_records(out, points, paper=None, n_points=None):
    """The folder of a search with two rungs, from what :func:`in_rungs` takes."""
    for name in RUNGS:
        (out / "sweep" / name).mkdir(parents=True)
    plan = {"n_points": n_points or len(points), "rungs": RUNGS}
    (out / "sweep" / "plan.json").write_text(json.dumps(plan))
    for entry in [*points, *([paper] if paper else [])]:
        name = entry["point"] if entry is paper else f"point-{entry['point']:03d}"
        for rung, written in zip(RUNGS, in_rungs(entry)):
            (out / "sweep" / rung / f"{name}.json").write_text(json.dumps(written))


def smoke(out, *arguments):
    return ["--profile", "smoke", "--jobs", "1", "--out", str(out), *arguments]


def write_report(out, *arguments):
    return report.write(parse("", smoke(out, *arguments)), out / "sweep")
