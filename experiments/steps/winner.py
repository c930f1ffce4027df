"""The settings that won the search, for every script that is given ``--from-sweep`` (§4.1)."""
from dataclasses import fields

from dbn.audio.scaling import Scaling
from dbn.cli.options import option_name
from dbn.errors import DamagedError, DBNError
from dbn.system.stored import COUNT, SHARE, Either, read_json
from dbn.training.settings import TrainingSettings

# what is not a hyper-parameter but the size of a run: the profile's own stands, so that the winner is trained fully
NOT_TAKEN = ("seed", "finetune_epochs", "patience", "shard_frames")

TAKEN = ("scaling", *(field.name for field in fields(TrainingSettings) if field.name not in NOT_TAKEN))

# must be as in the search: the winner of other songs may have been chosen by what are test songs here
OF_PROFILE = ("split", "clips_per_genre", "clip_seconds")
SAME = ("dataset", "profile", *OF_PROFILE, "seed")
DRAWN_SPLITS = ("class", "artist")  # other songs with every seed

FRAMES, SONGS = "frames of the corpus", {"train": "training songs", "valid": "validation songs"}  # in a search's plan
SETTING = Either((str, bool, float, [int]))  # a point's, as JSON gives it back
# of sweep.json
_SETTINGS = dict.fromkeys(TAKEN, SETTING)
_WINNER = {"point": COUNT, "best_error": SHARE, "settings": _SETTINGS}
_RESULT = {"n_points": COUNT, "counts": {"missing": COUNT}, "winner": Either((None, _WINNER)), "dataset": str,
           "profile": str, "seed": COUNT, "settings": {"split": str, "clips_per_genre": COUNT, "clip_seconds": float}}

N_NAMED = 5  # songs that a message names


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
        result = read_json(path, _RESULT)
        winner = result["winner"]
        if winner is not None:
            settings = _checked_settings(winner["settings"])
    except FileNotFoundError:
        begun = "is not finished" if (out / "sweep").exists() else "was not made yet"
        raise DBNError(f"--from-sweep: the search {begun} ({path} is not there); make it with\n  {search}") from None
    except (OSError, DBNError) as error:
        why = error if isinstance(error, DamagedError) else f"{path}: is damaged ({error})"
        raise DBNError(f"{why}, or an older version of this program wrote it; delete it and write it again with\n  "
                       f"{search}") from error
    about = {"n_points": result["n_points"]} | {name: winner[name] for name in ("point", "best_error") if winner}
    missing = result["counts"]["missing"]
    made_with = {name: result[name] for name in ("dataset", "profile", "seed")} | {
        name: result["settings"][name] for name in OF_PROFILE}
    if missing:
        raise DBNError(f"--from-sweep: the search is not finished, {missing} of its {about['n_points']} points are not "
                       f"done ({path}); go on with\n  {search}")
    if winner is None:
        raise DBNError(f"--from-sweep: the search has no winner: none of its points has an error in the last rung "
                       f"({path}); change the space in experiments/profiles.py")
    _check_options(path, made_with, run)
    return settings, about


def winner_elsewhere(out):
    """The winner of a search on another corpus.

    Parameters
    ----------
    out : pathlib.Path
        That search's results folder.

    Returns
    -------
    settings : dict
        Those of `TAKEN`.
    dataset : str
        Its corpus.
    songs : set of str
        By which it was chosen.

    Raises
    ------
    DBNError
        No search with a winner.
    """
    path = out / "sweep.json"
    try:
        result = read_json(path, {"winner": {"settings": _SETTINGS}, "dataset": str})
        settings = _checked_settings(result["winner"]["settings"])
    except (OSError, DBNError) as error:
        raise DBNError(f"{path}: holds no finished search with a winner ({error})") from error
    plan = _read_plan(out, f"python -m experiments.sweep --out {out}")
    return settings, result["dataset"], {song for name in SONGS.values() for song in plan[name]}


def _checked_settings(settings):
    settings = {name: settings[name] for name in TAKEN}
    require_settings(settings)
    return settings


def require_settings(settings):
    """Raise DBNError if no network can have these settings, a point's as JSON gives them back."""
    TrainingSettings(**{name: value for name, value in settings.items() if name != "scaling"})
    Scaling(settings["scaling"])


def _check_options(path, made_with, run):
    is_drawn = run["split"] in DRAWN_SPLITS
    for name in SAME if is_drawn else SAME[:-1]:
        if run[name] != made_with[name]:
            option = option_name(name)
            raise DBNError(f"--from-sweep: {path} was made with {option} {made_with[name]}, and this is {option} "
                           f"{run[name]}: its winner was chosen for other songs; give the same, or make another search "
                           "in another --out")
    if is_drawn and run["repeats"] > 1:
        raise DBNError("--from-sweep goes with one seed: the validation songs on which the search chose are among the "
                       "test songs of other seeds; leave --repeats out, or give a --split that is not drawn")


def songs_of_plan(store, split):
    """What the plan of a search says of its songs.

    Parameters
    ----------
    store : dbn.audio.frames.FrameStore
    split : dbn.datasets.splits.Split

    Returns
    -------
    dict
        The store's key as ``frames of the corpus``, and names as ``training songs`` and ``validation songs``.
    """
    return {FRAMES: store.key} | {name: getattr(split, part) for part, name in SONGS.items()}


def check_songs(out, search, split):
    """Make sure that the winner of the search in a results folder was chosen on the songs of a split.

    Parameters
    ----------
    out : pathlib.Path
        Holds ``sweep/plan.json``.
    search : str
        The command that makes a search, for the messages.
    split : dbn.datasets.splits.Split
        Its training and validation songs must be those of the search, or one on which the search chose could be a test
        song here.

    Raises
    ------
    DBNError
        Other songs, and which they are; no plan, or a damaged one.
    """
    plan = _read_plan(out, search)
    differences = [_differences(name, plan[name], getattr(split, part)) for part, name in SONGS.items()]
    if any(differences):
        raise _other_songs(out, search, "; ".join(filter(None, differences)))


def check_frames(out, search, key):
    """Make sure that the winner was chosen on the same audio as well: `key` is that of the frame store here.

    Raises
    ------
    DBNError
        Frames of other files or by other settings; no plan, or a damaged one.
    """
    there = _read_plan(out, search)[FRAMES]
    if there != key:
        raise _other_songs(out, search, f"{FRAMES} (the key was {there[:12]}, now {key[:12]}): a file was added, taken "
                           "away or changed, the folder is another one, or the frames are made in another way")


def _read_plan(out, search):
    path = out / "sweep" / "plan.json"
    try:
        return read_json(path, {FRAMES: str} | {name: [str] for name in SONGS.values()})
    except FileNotFoundError:
        raise DBNError(f"--from-sweep: {path} is not there, which says on which songs the winner was chosen; make the "
                       f"search again with\n  {search}") from None
    except DamagedError as error:
        raise DBNError(f"{error}; delete the folder {path.parent} and make the search again "
                       f"with\n  {search}") from error


def _differences(name, there, here):
    """Which songs are in one of two lists alone: a text, "" where there are none."""
    alone = [(songs, where) for songs, where in ((sorted(set(there) - set(here)), "in the search alone"),
                                                 (sorted(set(here) - set(there)), "here alone")) if songs]
    texts = [f"{len(songs)} {where} ({', '.join(songs[:N_NAMED])}{', ...' if len(songs) > N_NAMED else ''})"
             for songs, where in alone]
    return f"{name}: {', '.join(texts)}" if texts else ""


def _other_songs(out, search, what):
    return DBNError(f"--from-sweep: the search in {out / 'sweep'} chose its winner for other songs. What differs: "
                    f"{what}. Give the corpus and the split of the search, or make a search for these songs in another "
                    f"--out, with\n  {search}")
