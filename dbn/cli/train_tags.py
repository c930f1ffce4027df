"""``dbn train-tags``: SVMs for tags of one's own, on what a network makes of the recordings (§5.2, Table 4).

The network is a model that is there already, or one that is pre-trained on the recordings themselves: it learns nothing
from the tags, so that the cross-validation says what new recordings would. While it works, frames and checkpoint lie in
``<tagger>.work/``; the same command goes on from there.
"""
import hashlib
import json
import os
import sys
from pathlib import Path

import numpy as np

from dbn.cli.inputs import open_model
from dbn.cli.options import check_bounds, checked_jobs
from dbn.cli.work_folder import WorkFolder, checked_output, finished
from dbn.datasets import tags
from dbn.datasets.corpus import Corpus, Track
from dbn.datasets.folder import printable
from dbn.datasets.splits import Split
from dbn.errors import DatasetError, DBNError
from dbn.system.files import file_stamp
from dbn.system.interrupts import ended_by_interrupt
from dbn.trained.model import model_path
from dbn.trained.tagger import load_tagger, save_tagger
from dbn.training.recipes import RECIPES, UNSUPERVISED

C, GAMMA = (1.0, 10.0), (0.1, 0.3, 1.0)  # what every SVM chooses from; gamma over the number of features

_BOUNDS = {"folds": (2, 1000), "min_clips": (2, 10**6), "seed": (0, 2**31)}

EPILOG = """The table has the columns file,tag, or file and a column of 0 and 1 for each tag; a column artist keeps the
recordings of one in one fold. Exit status: 0, or 1 if some files could not be used, 2 if nothing was trained."""


def add_train_tags_parser(subparsers):
    """Add the parser of ``dbn train-tags`` to the sub-parsers of ``dbn``."""
    parser = subparsers.add_parser("train-tags", usage="%(prog)s [options] FOLDER --labels TAGS.csv -o TAGGER.npz",
                                   help="train a tagger on a folder of audio files and a table of tags", epilog=EPILOG,
                                   description="Train an SVM for every tag, and tell how good each is.")
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="where the audio files are")
    parser.add_argument("-o", "--tagger", type=Path, required=True, metavar="TAGGER.npz", help="the tagger to make")
    parser.add_argument("--labels", type=Path, required=True, metavar="TAGS.csv", help="which tags hold for which file")
    parser.add_argument("--model", metavar="MODEL", help="the network, of dbn train on other music that has classes; "
                                                         "without it one is pre-trained on FOLDER's files")
    parser.add_argument("--folds", type=int, default=3, help="of the cross-validation (default: 3)")
    parser.add_argument("--min-clips", type=int, default=10, help="leave out tags that fewer files have (default: 10)")
    parser.add_argument("--seed", type=int, default=0, help="of all draws (default: 0)")
    parser.add_argument("--jobs", type=int, default=-1, help="processes; -1 is one a core (default)")
    parser.add_argument("--force", action="store_true", help="replace a tagger that is there already")
    parser.set_defaults(run=run_train_tags)


def run_train_tags(args):
    """Train a tagger as the parsed options say.

    Parameters
    ----------
    args : argparse.Namespace
        See :func:`add_train_tags_parser`.

    Returns
    -------
    int
        Exit status: 0, or 1 if some files could not be used.

    Raises
    ------
    DBNError
        Nothing could be trained; the message says why.
    """
    check_bounds(args, _BOUNDS)
    args.jobs = checked_jobs(args.jobs)
    args.tagger = path = checked_output(args.tagger, "tagger")
    if args.model is not None:
        open_model(args.model)  # what is none is said before the audio is read
    clips, skipped = tags.load(args.folder, args.labels)
    key = _key(args, clips)
    work = WorkFolder(path, "frames|dbn-[0-9a-f]{12}")
    tagger = work.made("dbn train-tags", lambda: finished(path, load_tagger, key, args.force),
                       lambda: _trained(args, clips, skipped, key, work.path))
    about = tagger.about
    for file, why in about["skipped"]:
        print(f"skipped: {printable(file)}: {why}", file=sys.stderr)
    print(_report(tagger))
    print(f"tagger: {printable(str(path))}")
    return 1 if about["skipped"] else 0


def _key(args, clips):
    """Names all that the tagger depends on."""
    files = [(clip.id, clip.artist, file_stamp(clip.path)) for clip in clips.clips]
    model = args.model and (os.path.abspath(model_path(args.model)), file_stamp(model_path(args.model)))
    depends_on = [files, clips.tags, clips.matrix.tolist(), model, args.folds, args.min_clips, args.seed]
    return hashlib.sha256(json.dumps(depends_on).encode()).hexdigest()


def _trained(args, clips, skipped, key, work):
    from dbn.audio.frames import DEFAULT_SETTINGS, FrameStore
    from dbn.evaluation.windows import LEARNED, MFCCS, learned_windows, mfcc_windows

    tracks = tuple(sorted((Track(clip.id, clip.path, "", clip.artist) for clip in clips.clips),
                          key=lambda track: track.name))
    corpus = Corpus("folder", ("",), tracks, tuple(skipped))
    model = None if args.model is None else open_model(args.model)
    settings = DEFAULT_SETTINGS if model is None else model.frame_settings
    store = FrameStore.build(corpus, work / "frames", **settings, jobs=args.jobs)
    if model is None:
        model = _pretrained(store, args, work / f"dbn-{key[:12]}", key)
    used = [number for number, clip in enumerate(clips.clips) if clip.id not in store.skipped_names]
    paths = {clips.clips[number].id: clips.clips[number].path for number in used}
    windows = {LEARNED: learned_windows(model, store), MFCCS: mfcc_windows(paths, args.jobs)}
    features = {name: [of_song[song] for song in paths] for name, of_song in windows.items()}
    about = {"dataset": "folder", "synthetic": False, "key": key, "skipped": store.skipped}
    try:
        tagger = _tagger(args, clips, used, model, features, about)
    except DBNError as error:  # too few files or artists for what is asked of them
        raise DatasetError(f"{args.labels}: {error}") from error
    save_tagger(args.tagger, tagger)
    return tagger


def _tagger(args, clips, used, model, features, about):
    """The tagger, and what is measured of the tags beside it; `features` are those of the clips that are used."""
    from dbn.evaluation.autotag import compare_tags, difference_interval, evaluate_tags
    from dbn.evaluation.tagging import trained_tagger
    from dbn.evaluation.windows import HOP, LEARNED, MFCCS, WINDOW

    matrix, artists = clips.matrix[used], [clips.clips[number].artist for number in used]
    results = {name: evaluate_tags(x, matrix, artists, args.folds, args.seed, names=clips.tags, jobs=args.jobs,
                                   min_clips=args.min_clips, **_grid(x)) for name, x in features.items()}
    learned, mfccs = results[LEARNED], results[MFCCS]
    interval = difference_interval(learned, mfccs, artists)
    about = about | {
        "n_clips": len(used), "n_folds": args.folds, "seed": args.seed, "by_artist": any(artists),
        "left_out": learned.left_out,
        "tags": {score.name: {"clips": score.n_positive, LEARNED: score.accuracy, MFCCS: other.accuracy}
                 for score, other in zip(learned.scores, mfccs.scores)},
        "mean": {name: [result.mean, _or_none(result.standard_error)] for name, result in results.items()},
        "difference_ci95": interval and list(interval), "p": compare_tags(learned, mfccs)}
    kept = matrix[:, [clips.tags.index(score.name) for score in learned.scores]]
    return trained_tagger(model, features[LEARNED], kept, artists, learned.scores, WINDOW, HOP, about,
                          _grid(features[LEARNED]), args.seed, args.jobs)


def _or_none(number):
    return None if np.isnan(number) else number


def _grid(windows):
    return {"C": C, "gamma": [gamma / windows[0].shape[1] for gamma in GAMMA]}


def _pretrained(store, args, directory, key):
    """A network that has seen the recordings and no tag."""
    from dbn.training.fit import fit_model
    recipe = RECIPES[UNSUPERVISED]
    settings = recipe.settings({"seed": args.seed})
    split = Split(tuple(song.name for song in store.songs), (), ())
    about = {"dataset": "folder", "synthetic": False, "key": key,
             "recipe": {"name": UNSUPERVISED, "about": recipe.about, "tried": {}}}
    with ended_by_interrupt(f"\ndbn train-tags: stopped; the same command goes on from {directory.parent}"):
        return fit_model(store, split, recipe.scaling, settings, directory, key, about)


def _report(tagger):
    """Table 4 of these tags, as text."""
    from dbn.evaluation.windows import LEARNED, MFCCS
    about = tagger.about
    width = max(len("mean"), *(len(printable(name)) for name in about["tags"]))
    lines = [f"{about['n_clips']} files, {about['n_folds']} folds "
             f"{'by artist' if about['by_artist'] else 'by file, as no artist is known'}; chance is 0.5",
             f"{'tag':{width}}  files  {LEARNED}  {MFCCS}"]
    tags_by_accuracy = sorted(about["tags"].items(), key=lambda item: -item[1][LEARNED])
    lines += [f"{printable(name):{width}}  {of_tag['clips']:5}  {of_tag[LEARNED]:10.3f}  {of_tag[MFCCS]:5.3f}"
              for name, of_tag in tags_by_accuracy]
    (learned, _), (mfccs, _) = (about["mean"][name] for name in (LEARNED, MFCCS))
    lines.append(f"{'mean':{width}}         {learned:10.3f}  {mfccs:5.3f}")
    interval = about["difference_ci95"]
    bounds = "" if interval is None else f", 95 % interval {interval[0]:+.3f} to {interval[1]:+.3f}"
    lines.append(f"difference {learned - mfccs:+.3f}{bounds}; p of Wilcoxon's test over the tags {about['p']:.2g}")
    if mfccs > learned:
        lines.append("MFCCs do better on these tags; a network that learned from labels, of this music or other "
                     "(--model), may make better features")
    lines += [f"left out: {printable(name)}: {why}" for name, why in about["left_out"]]
    return "\n".join(lines)
