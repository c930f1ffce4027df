"""The settings that won the search, for every script that is given ``--from-sweep`` (§4.1: "we selected the model")."""
import json
from dataclasses import fields

from dbn.errors import DBNError
from dbn.training.settings import TrainingSettings

# what is not a hyper-parameter but the size of a run: the profile's own stands, so that the winner is trained fully
NOT_TAKEN = ("seed", "finetune_epochs", "patience", "shard_frames")

TAKEN = ("scaling", *(field.name for field in fields(TrainingSettings) if field.name not in NOT_TAKEN))

# must be as in the search: the winner of other songs may have been chosen by what are test songs here
OF_PROFILE = ("split", "clips_per_genre", "clip_seconds")
SAME = ("dataset", "profile", *OF_PROFILE, "seed")
DRAWN_SPLITS = ("class", "artist")  # other songs with every seed


def read_winner(out, search, run):
    """The winner of the search in a results folder.

    Parameters
    ----------
    out : pathlib.Path
        Holds ``sweep.json``.
    search : str
        The command that makes it, for the messages.
    run : dict
        What must be the same as in the search: each of `SAME`, and ``repeats``.

    Returns
    -------
    settings : dict
        Those of `TAKEN`.
    about : dict
        ``point``, ``n_points``, ``best_error`` (on the validation songs), as results record it.

    Raises
    ------
    DBNError
        No search, an unfinished one, one without a winner, one of other songs, or a damaged file.
    """
    path = out / "sweep.json"
    try:
        result = json.loads(path.read_text())
        about = {"n_points": result["n_points"]}
        missing, winner = result["counts"]["missing"], result["winner"]
        made_with = {name: result[name] for name in ("dataset", "profile", "seed")} | {
            name: result["settings"][name] for name in OF_PROFILE}
        if winner is not None:
            about |= {name: winner[name] for name in ("point", "best_error")}
            settings = {name: winner["settings"][name] for name in TAKEN}
    except FileNotFoundError:
        begun = "is not finished" if (out / "sweep").exists() else "was not made yet"
        raise DBNError(f"--from-sweep: the search {begun} ({path} is not there); make it with\n  {search}") from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DBNError(f"{path}: is damaged ({error!r}); delete it and write it again with\n  {search}") from error
    if missing:
        raise DBNError(f"--from-sweep: the search is not finished, {missing} of its {about['n_points']} points are not "
                       f"done ({path}); go on with\n  {search}")
    if winner is None:
        raise DBNError(f"--from-sweep: the search has no winner: none of its points was trained to its end ({path}); "
                       "change the space in experiments/profiles.py")
    _check_songs(path, made_with, run)
    return settings, about


def _check_songs(path, made_with, run):
    is_drawn = run["split"] in DRAWN_SPLITS
    for name in SAME if is_drawn else SAME[:-1]:
        if run[name] != made_with[name]:
            option = f"--{name.replace('_', '-')}"
            raise DBNError(f"--from-sweep: {path} was made with {option} {made_with[name]}, and this is {option} "
                           f"{run[name]}: its winner was chosen for other songs; give the same, or make another search "
                           "in another --out")
    if is_drawn and run["repeats"] > 1:
        raise DBNError("--from-sweep goes with one seed: the validation songs on which the search chose are among the "
                       "test songs of other seeds; leave --repeats out, or give a --split that is not drawn")
