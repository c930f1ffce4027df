"""``dbn train``: a model from a folder of audio files (§4.1: split by song, scaling, pre-training, fine-tuning).

While it works, the frames and the checkpoint lie in ``<model>.work/``. The same command goes on from there after a kill
and ends with the same parameters; the model's name only ever belongs to a whole file. What somebody else has put into
that folder is neither used nor removed.
"""
import hashlib
import json
import os
import sys
from dataclasses import asdict
from pathlib import Path

from dbn.audio.scaling import KINDS, Scaling
from dbn.audio.spectra import FRAME_LENGTH
from dbn.cli.options import add_options, checked_jobs, given_options, tuple_of
from dbn.cli.work_folder import WorkFolder
from dbn.datasets import folder, identical, labels, splits
from dbn.errors import DatasetError, ModelFileError
from dbn.system.files import disk_errors, link_target, move_into_place, require_plain_file, sole_writer
from dbn.system.interrupts import ended_by_interrupt
from dbn.trained.model import load_model, save_model
from dbn.training.settings import TrainingSettings

EPILOG = """Exit status: 0, or 1 if some files could not be used (they are named, the model is made of the others), 2 if
nothing was trained, 130 after Ctrl-C."""


def add_train_parser(subparsers):
    """Add the parser of ``dbn train`` to the sub-parsers of ``dbn``."""
    parser = subparsers.add_parser("train", usage="%(prog)s [options] FOLDER -o MODEL.npz",
                                   help="train a model on a folder of audio files", epilog=EPILOG,
                                   description="Train a model on a folder with one sub-folder a class, or on the "
                                               "files of a table. A run that was stopped or killed goes on when the "
                                               "same command is given again.")
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="where the audio files are")
    parser.add_argument("-o", "--model", type=Path, required=True, metavar="MODEL.npz", help="the model to make")
    parser.add_argument("--labels", type=Path, metavar="FILE.csv",
                        help="table with the columns file,label or file,label,part (part: train, valid, test or "
                             "excluded); files are paths from FOLDER")
    parser.add_argument("--split", type=tuple_of(float), default=splits.FRACTIONS, metavar="TRAIN,VALID,TEST",
                        help="share of each class's songs in each part. Default: 0.5,0.2,0.3")
    parser.add_argument("--scaling", metavar="KIND", default="minmax",
                        help=f"what the DFT magnitudes are scaled by: {', '.join(KINDS)} or principal components "
                             "(pca-50, log-whitened-pca-50), see dbn/audio/scaling.py. Default: minmax")
    parser.add_argument("--jobs", type=int, default=-1, help="processes that read audio; -1 is one a core (default)")
    parser.add_argument("--force", action="store_true", help="replace a model that is there already")
    parser.add_argument("--keep", action="store_true", help="keep MODEL.npz.work/, the frames and the checkpoint")
    add_options(parser.add_argument_group("training"), TrainingSettings, defaults=TrainingSettings())
    parser.set_defaults(run=run_train)


def run_train(args):
    """Train a model as the parsed options say.

    Parameters
    ----------
    args : argparse.Namespace
        See :func:`add_train_parser`.

    Returns
    -------
    int
        Exit status: 0, or 1 if some files could not be used. 130 after an interrupt; while PyTensor is at work
        an interrupt ends the process with that status.

    Raises
    ------
    DBNError
        Nothing could be trained; the message says why.
    """
    try:
        return _TrainRun(args).run()
    except KeyboardInterrupt:
        print(_stopped(args.model), file=sys.stderr)
        return 130


def _stopped(model_path):
    work = folder.printable(str(_work_folder(model_path).path))
    return f"\ndbn train: stopped; the same command goes on from {work}"


def _work_folder(model_path):
    return WorkFolder(model_path, "frames|dbn-[0-9a-f]{12}")


class _TrainRun:
    """One ``dbn train``: its options checked, its files found, nothing written yet."""

    def __init__(self, args):
        self.args = args
        args.model = link_target(args.model)  # the link stays one, and the frames lie where there is room for a model
        self.path, self.work = args.model, _work_folder(args.model)
        self.settings = TrainingSettings(**given_options(args, TrainingSettings))
        # a kind that is not known is said before anything is read, as is a network that would not fit into memory
        self.settings.require_size(Scaling(args.scaling).n_components or FRAME_LENGTH // 2 + 1)
        self.jobs = checked_jobs(args.jobs)
        splits.check_fractions(args.split)
        if self.path.suffix != ".npz" or self.path.is_dir():
            raise ModelFileError(f"{self.path}: not the name of a model file, which ends in .npz; give another with -o")
        require_plain_file(self.path, ModelFileError)
        if not self.path.parent.is_dir():
            raise ModelFileError(f"{self.path}: there is no folder {self.path.parent}; make it first")
        if args.labels is None:
            self.corpus, self.parts = folder.load(args.folder), None
        else:
            self.corpus, self.parts = labels.load(args.folder, args.labels)
        self._split(self.corpus.tracks)  # too few songs are said before the audio is read
        self.key = self._key()

    def _key(self):
        """Names all that the parameters depend on; the model carries it, and the checkpoint's folder."""
        from dbn.audio.frames import DEFAULT_SETTINGS, store_key
        depends_on = [store_key(self.corpus, self.corpus.tracks, DEFAULT_SETTINGS), self.parts or self.args.split,
                      self.args.scaling, asdict(self.settings)]
        return hashlib.sha256(json.dumps(depends_on).encode()).hexdigest()

    def run(self):
        """Train, unless this very model is there; print what came of it and return the exit status."""
        model = self._finished()
        if model is None:
            model = self._made()
        elif not self.args.keep and self.work.is_own:  # of a run that was killed when it had made the model
            with sole_writer(self.work.path):
                self.work.remove()
        about = model.about
        for file, why in about["skipped"]:
            print(f"skipped: {folder.printable(file)}: {why}", file=sys.stderr)
        if about["skipped"]:
            print(f"{len(about['skipped'])} skipped, {sum(map(sum, about['songs'].values()))} used", file=sys.stderr)
        print(_report(model))
        print(f"model: {folder.printable(str(self.path))}")
        return 1 if about["skipped"] else 0

    def _finished(self):
        """The model, if this command has made it already; None if it may be made."""
        if self.args.force or not self.path.exists():
            return None
        try:
            model = load_model(self.path)
        except ModelFileError:
            model = None
        if model is None or model.about.get("key") != self.key:
            raise ModelFileError(f"{self.path}: is there already, made of other files or with other options; "
                                 f"--force replaces it, or give another name with -o")
        return model

    def _made(self):
        """The model, by this process or by another one that is at it."""
        self.work.require_own("dbn train")
        is_new = not self.work.path.exists()
        with disk_errors(self.work.path):
            self.work.path.mkdir(exist_ok=True)
        with sole_writer(self.work.path):
            try:
                model = self._finished() or self._train()
            except (DatasetError, ModelFileError):
                if is_new or not self.work.leftovers():
                    self.work.remove()
                raise
            if not self.args.keep:  # within the lock: whoever waits for it begins with an empty folder
                self.work.remove()
            return model

    def _train(self):
        from joblib.externals.loky import get_reusable_executor

        from dbn.audio.frames import FrameSet, FrameStore
        from dbn.training.fit import fit_model, label_songs  # with PyTensor, which takes seconds to import

        # joblib's tracker of temporary files complains on standard error if the process ends by Ctrl-C
        os.environ.setdefault("PYTHONWARNINGS", "ignore:resource_tracker")
        store = FrameStore.build(self.corpus, self.work.path / "frames", jobs=self.jobs)
        get_reusable_executor().shutdown()  # the readers' memory, for the training
        tracks = [track for track in self.corpus.tracks if track.name not in store.skipped_names]
        split = self._split(tracks)
        splits.warn_identical(split, identical.identical_files(tracks))
        about = {"dataset": self.corpus.name, "synthetic": False, "key": self.key, "skipped": store.skipped,
                 "songs": _song_counts(store, split), "split": "table" if self.parts else list(self.args.split)}
        directory = self.work.path / f"dbn-{self.key[:12]}"
        with ended_by_interrupt(_stopped(self.path)):
            model = fit_model(store, split, self.args.scaling, self.settings, directory, self.key, about)
        answers = label_songs(model, FrameSet.from_store(store, split.test))
        model.about["test"] = {"n_songs": len(answers["true"]),
                               "n_correct": int((answers["true"] == answers["predicted"]).sum())}
        # written within the work folder, so that a kill leaves nothing beside the model's place
        save_model(directory / "model.npz", model)
        with disk_errors(self.path):
            move_into_place(directory / "model.npz", self.path)
        return model

    def _split(self, tracks):
        if self.parts is None:
            split = splits.split_by_class(tracks, self.settings.seed, self.args.split)
        else:
            split = splits.Split(*(tuple(track.name for track in tracks if self.parts[track.name] == part)
                                   for part in (*splits.PARTS, "excluded")))
            for part in splits.PARTS:
                if not getattr(split, part):
                    raise DatasetError(f"{self.args.labels}: no usable song in part {part!r}; train, valid and test "
                                       f"need one each")
        return split


def _song_counts(store, split):
    """Songs of each class in train, valid and test: a dict of lists."""
    label_of = {song.name: song.label for song in store.songs}
    return {name: [sum(label_of[song] == label for song in getattr(split, part)) for part in splits.PARTS]
            for label, name in enumerate(store.classes)}


def _report(model):
    """What came of the training, as text."""
    from dbn.evaluation.stats import wilson_interval  # with SciPy's statistics, a second and 45 MB to import
    about, test = model.about, model.about["test"]
    width = max(len("songs"), *map(len, about["songs"]))
    lines = [f"{'songs':{width}}  {'train':>5}  {'valid':>5}  {'test':>5}"]
    lines += [f"{label:{width}}  {train:5}  {valid:5}  {n_test:5}"
              for label, (train, valid, n_test) in about["songs"].items()]
    epochs = sum(record["stage"] == "finetune" for record in model.history)
    low, high = wilson_interval(test["n_correct"], test["n_songs"])
    lines += [f"validation error: {about['best_error']:.3f} of frames (epoch {about['best_epoch']} of {epochs}; "
              f"stopped by {about['stopped']})",
              f"test songs right: {test['n_correct'] / test['n_songs']:.3f} ({test['n_correct']} of {test['n_songs']}; "
              f"95 % interval {low:.3f} to {high:.3f})"]
    return "\n".join(lines)
