"""The records that a search leaves: one file a point and rung, from which everything else follows.

In the search's folder lie ``rung-1/point-017.json``, the record of a point whose training in a rung is over, and
``rung-1/point-017/``, the checkpoint of one whose is not. All of them appear whole or not at all. The functions here
are given the folder of a rung, and points with the rung's epochs.
"""
import json
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

_EPOCH = {"stage": Among(("pretrain", "finetune")), "epoch": COUNT, "cost": float, "seconds": SECONDS,
          "valid_error": Perhaps(SHARE)}
_SETTINGS = dict.fromkeys(["scaling", *(field.name for field in fields(TrainingSettings))], SETTING)
RECORD = {"point": Either((COUNT, Among(("paper",)))), "settings": _SETTINGS, "status": Among((*OVER, "failed")),
          "seconds": SECONDS, "stopped": Either((None, str)), "epochs": COUNT, "error": Either((None, str)),
          "best_error": Either((None, SHARE)), "best_epoch": Either((None, COUNT)),
          "n_parameters": Either((None, COUNT)), "versions": VERSIONS, "history": [_EPOCH]}


def work_folder(folder, point):
    """Where the checkpoint of a point lies until the point is over."""
    return folder / point.name


def path_of(folder, point):
    """The record of a point that is over."""
    return folder / f"{point.name}.json"


def new_record(point, status, stopped=None, history=(), error=None, **more):
    """A record of a point.

    Parameters
    ----------
    point : experiments.search.space.Point
    status : str
        "finished" (trained to the rung's end), "diverged", or "failed" (by an error that is none of training).
    stopped : str or None
        Why its training ended: "patience", "epochs", or None.
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


def is_over(record):
    """Whether a point needs no more training to be ranked; one that failed is tried again by the next start."""
    return record is not None and record["status"] in OVER


def write_record(folder, point, record):
    """Write a record; the point's checkpoint is then removed."""
    path = path_of(folder, point)
    with disk_errors(path), atomic_path(path) as temporary:
        temporary.write_text(json.dumps(record, indent=1, allow_nan=False) + "\n")
    shutil.rmtree(work_folder(folder, point), ignore_errors=True)


def remove_record(folder, point):
    """Remove a record that is there."""
    path = path_of(folder, point)
    with disk_errors(path):
        path.unlink()


def read_record(folder, point):
    """The record of a point; None if there is none, or if it is damaged, which is announced."""
    return kept_json(path_of(folder, point), RECORD,
                     lambda record: is_whole(record) and record["settings"] == point.as_json())


def is_whole(record):
    """Whether the parts of a record fit each other as those that :func:`new_record` has made do."""
    errors = [entry.get("valid_error") for entry in finetuning(record["history"])]
    if record["epochs"] != len(errors) or None in errors:
        return False
    try:
        require_settings(record["settings"])
    except DBNError:
        return False
    if record["status"] != "finished":
        return True
    return record["best_error"] is not None and record["best_error"] <= min(errors, default=1)
