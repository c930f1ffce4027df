"""The records that a search leaves: one file a point, from which everything else follows.

In the search's folder lie ``points/point-017.json``, the record of a point that is over, and
``points/point-017/``, the checkpoint of one that is not, with ``record.json`` in it while the point waits for the
decision of a rung (see :mod:`experiments.search.halving`). All of them appear whole or not at all.
"""
import json
import math
import shutil
from dataclasses import fields

from dbn.errors import DBNError
from dbn.system.files import atomic_path, disk_errors
from dbn.system.stored import COUNT, SECONDS, SHARE, VERSIONS, Among, Either, Perhaps, kept_json
from dbn.system.versions import versions
from dbn.training.settings import TrainingSettings
from experiments.steps.winner import SETTING, require_settings

# a point that is over: no more epochs can come
OVER = ("finished", "diverged")
STATUSES = (*OVER, "halved", "failed", "paused")

_EPOCH = {"stage": Among(("pretrain", "finetune")), "epoch": COUNT, "cost": float, "seconds": SECONDS,
          "valid_error": Perhaps(SHARE)}
_SETTINGS = dict.fromkeys(["scaling", *(field.name for field in fields(TrainingSettings))], SETTING)
RECORD = {"point": Either((COUNT, Among(("paper",)))), "settings": _SETTINGS, "status": Among(STATUSES),
          "seconds": SECONDS, "stopped": Either((None, str)), "epochs": COUNT, "error": Either((None, str)),
          "best_error": Either((None, SHARE)), "best_epoch": Either((None, COUNT)),
          "n_parameters": Either((None, COUNT)), "versions": VERSIONS, "history": [_EPOCH]}


def work_folder(folder, point):
    """Where the checkpoint of a point lies until the point is over."""
    return folder / "points" / point.name


def final_path(folder, point):
    """The record of a point that is over."""
    return folder / "points" / f"{point.name}.json"


def new_record(point, status, stopped=None, history=(), error=None, **more):
    """A record of a point.

    Parameters
    ----------
    point : experiments.search.space.Point
    status : str
        "finished" (trained to its end), "halved" (stopped by a rung), "diverged", "failed" (by an error that is none of
        training), or "paused" (waits for a rung's decision).
    stopped : str or None
        Why its training ended: "patience", "epochs", "halving", or None.
    history : sequence of dict
        See :class:`dbn.training.running.TrainingResult`.
    error : str, optional
        What was said when the point diverged or failed.
    more : dict
        ``best_error``, ``best_epoch``, ``n_parameters``, ``parameters`` (SHA-256 of the best ones), which a point
        without a result does not have; ``versions`` of what trained it, if not of this process alone.

    Returns
    -------
    dict
        As JSON gives it back.
    """
    nothing = {"best_error": None, "best_epoch": None, "n_parameters": None, "parameters": None}
    return {"point": point.name if point.number is None else point.number, "settings": point.as_json(),
            "seed": point.settings.seed, "status": status, "stopped": stopped, "epochs": len(finetuning(history)),
            "error": error, **nothing, "versions": versions(), **more, "history": list(history),
            "seconds": sum(entry["seconds"] for entry in history)}


def finetuning(history):
    """The epochs of fine-tuning in a history: list of dict."""
    return [entry for entry in history if entry["stage"] == "finetune"]


def score(record, epochs):
    """By what a rung ranks a point: its lowest validation error within its first `epochs` epochs of fine-tuning.

    Infinite for a point that failed, or diverged before that; one that stopped early by patience keeps its score.
    """
    errors = [entry["valid_error"] for entry in finetuning(record["history"])[:epochs]]
    if record["status"] == "failed" or not errors or (record["status"] == "diverged" and len(errors) < epochs):
        return math.inf
    return min(errors)


def has_reached(record, epochs):
    """Whether a point needs no more training to be ranked after `epochs` epochs."""
    return record is not None and (record["status"] in OVER
                                   or (record["status"] != "failed" and record["epochs"] >= epochs))


def write_record(folder, point, record):
    """Write a record; for a point that is over, its checkpoint is then removed."""
    over = record["status"] != "paused"
    path = final_path(folder, point) if over else work_folder(folder, point) / "record.json"
    with disk_errors(path), atomic_path(path) as temporary:
        temporary.write_text(json.dumps(record, indent=1, allow_nan=False) + "\n")
    if over:
        shutil.rmtree(work_folder(folder, point), ignore_errors=True)
    else:  # of a smaller search, which had stopped this point
        final_path(folder, point).unlink(missing_ok=True)


def read_record(folder, point):
    """The record of a point; None if there is none, or if it is damaged, which is announced."""
    for path in (final_path(folder, point), work_folder(folder, point) / "record.json"):
        record = kept_json(path, RECORD, lambda record: is_whole(record) and record["settings"] == point.as_json())
        if record is not None:
            return record
    return None


def is_whole(record):
    """Whether the parts of a record fit each other as those that :func:`new_record` has made do."""
    errors = [entry.get("valid_error") for entry in finetuning(record["history"])]
    if record["epochs"] != len(errors) or None in errors:
        return False
    try:
        require_settings(record["settings"])
    except DBNError:
        return False
    has_result = record["status"] in ("finished", "halved", "paused")
    return not has_result or (record["best_error"] is not None and record["best_error"] <= min(errors, default=1))


def halved(record, epochs):
    """What becomes of a record when a rung stops its point after `epochs` epochs.

    A point that is over stays as it is, unless it went on for longer: where another one had failed and is better,
    now that it has been trained, this one should have stopped here, and what it learnt since does not count.
    """
    if record["status"] == "failed" or (record["status"] in OVER and record["epochs"] <= epochs):
        return record
    kept = record | {"status": "halved", "stopped": "halving", "error": None}
    if record["epochs"] > epochs:
        history = record["history"][:len(record["history"]) - record["epochs"] + epochs]
        best = min(finetuning(history), key=lambda entry: entry["valid_error"])
        kept |= {"history": history, "epochs": epochs, "seconds": sum(entry["seconds"] for entry in history),
                 "best_error": best["valid_error"], "best_epoch": best["epoch"], "parameters": None}
    return kept
