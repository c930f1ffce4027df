"""``dbn train``: a model from a folder of audio files (§4.1: split by song, scaling, pre-training, fine-tuning).

While it works, the frames and the checkpoint lie in ``<model>.work/``. The same command goes on from there after a kill
and ends with the same parameters; the model's name only ever belongs to a whole file. What somebody else has put into
that folder is neither used nor removed.
"""
import hashlib
import json
import os
import sys
import time
from dataclasses import asdict, fields
from pathlib import Path

from dbn.audio.scaling import KINDS
from dbn.audio.spectra import FRAME_LENGTH
from dbn.cli.options import add_options, as_options, checked_jobs, given_options, tuple_of
from dbn.cli.train_report import report
from dbn.cli.work_folder import WorkFolder, checked_output, finished
from dbn.datasets import folder, identical, labels, splits
from dbn.errors import DatasetError, DBNError
from dbn.system.files import disk_errors, move_into_place
from dbn.system.interrupts import ended_by_interrupt
from dbn.trained.model import load_model, save_model
from dbn.training.recipes import AUTO, CONVOLUTIONAL, NETWORKS, RECIPES, RECOMMENDED, UNSUPERVISED, recipes_of
from dbn.training.settings import ConvolutionalSettings, TrainingSettings, checked_scaling

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
    parser.add_argument("--split", type=tuple_of(float), metavar="TRAIN,VALID,TEST",
                        help="share of each class's songs in each part. Default: 0.5,0.2,0.3")
    parser.add_argument("--network", choices=NETWORKS, default="frames",
                        help="a deep belief network of single frames, the paper's kind, or a convolutional one over "
                             f"time, which has one recipe: {CONVOLUTIONAL.about}. Default: frames")
    parser.add_argument("--recipe", metavar="NAME", default="recommended",
                        help="what is scaled by and trained with where no option says otherwise: "
                             f"{_recipe_texts()}; or {AUTO}, the best of these on the validation songs. Default: "
                             f"recommended, which is {RECOMMENDED}, or {UNSUPERVISED} without labels")
    parser.add_argument("--unsupervised", action="store_true",
                        help="pre-train on all files of FOLDER, at any depth, and look at no label")
    parser.add_argument("--scaling", metavar="KIND", default=None,
                        help=f"what the DFT magnitudes are scaled by: {', '.join(KINDS)} or principal components "
                             "(pca-50, log-whitened-pca-50), see dbn/audio/scaling.py. Default: the recipe's")
    parser.add_argument("--jobs", type=int, default=-1, help="processes that read audio; -1 is one a core (default)")
    parser.add_argument("--force", action="store_true", help="replace a model that is there already")
    parser.add_argument("--keep", action="store_true", help="keep MODEL.npz.work/, the frames and the checkpoint")
    add_options(parser.add_argument_group("training", _defaults_text()), TrainingSettings,
                defaults=TrainingSettings())
    add_options(parser.add_argument_group("training, of a convolutional network alone"), ConvolutionalSettings,
                [setting.name for setting in fields(TrainingSettings)], CONVOLUTIONAL.settings({}))
    parser.set_defaults(run=run_train)


def _recipe_texts():
    return "; ".join(f"{name} ({recipe.about})" for name, recipe in RECIPES.items())


def _defaults_text():
    """Which defaults the options name, and what other recipes take where no option says otherwise."""
    usual = asdict(TrainingSettings())
    others = {f"the recipe {name}": recipe for name, recipe in RECIPES.items()}
    others["a convolutional network"] = CONVOLUTIONAL
    texts = ["The defaults that are named are the paper's"]
    for name, recipe in others.items():
        own = asdict(recipe.settings({}))
        other = {key: own[key] for key in usual if key in own and own[key] != usual[key]}
        if other:
            texts.append(f"{name} has {' '.join(as_options(other))}")
    return "; ".join(texts) + "."


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
        self.path = args.model = checked_output(args.model, "model file")
        self.work = _work_folder(self.path)
        given = given_options(args, TrainingSettings) | given_options(args, ConvolutionalSettings)
        if args.unsupervised and (args.labels is not None or args.recipe == AUTO or args.split is not None):
            raise DBNError(f"--unsupervised looks at no label and trains on all files; leave --labels, --recipe {AUTO} "
                           "and --split out")
        if args.network == "frames":
            recipes = recipes_of(args.recipe, not args.unsupervised)
        elif args.recipe == "recommended":
            recipes = {args.network: CONVOLUTIONAL}
        else:
            raise DBNError(f"--network {args.network} has one recipe of its own; leave --recipe out")
        self.recipes = {name: (args.scaling or recipe.scaling, recipe.settings(given), recipe.about)
                        for name, recipe in recipes.items()}
        # a kind that is not known is said before anything is read, as is a network that would not fit into memory
        for scaling, settings, _ in self.recipes.values():
            settings.require_size(checked_scaling(scaling, settings).n_components or FRAME_LENGTH // 2 + 1)
        self.seed = settings.seed
        self.jobs = checked_jobs(args.jobs)
        self.fractions = splits.FRACTIONS if args.split is None else args.split
        splits.check_fractions(self.fractions, "--split")
        if args.unsupervised:
            self.corpus, self.parts = folder.load_unlabelled(args.folder), None
        elif args.labels is None:
            self.corpus, self.parts = folder.load(args.folder), None
        else:
            self.corpus, self.parts = labels.load(args.folder, args.labels)
        if self.parts is not None and args.split is not None:
            raise DBNError(f"{args.labels}: its column part says which file is in which part; leave --split out")
        self._split(self.corpus.tracks)  # too few songs are said before the audio is read
        self.key = self._key(self.recipes)

    def _key(self, recipes):
        """Names all that the parameters depend on; the model carries it, and that of each recipe its checkpoint."""
        from dbn.audio.frames import DEFAULT_SETTINGS, store_key
        choices = [(scaling, asdict(settings)) for scaling, settings, _ in recipes.values()]
        depends_on = [store_key(self.corpus, self.corpus.tracks, DEFAULT_SETTINGS), self.parts or self.fractions,
                      self.args.unsupervised, choices]
        return hashlib.sha256(json.dumps(depends_on).encode()).hexdigest()

    def run(self):
        """Train, unless this very model is there; print what came of it and return the exit status."""
        model = self.work.made("dbn train", self._finished, self._train, self.args.keep)
        about = model.about
        for file, why in about["skipped"]:
            print(f"skipped: {folder.printable(file)}: {why}", file=sys.stderr)
        if about["skipped"]:
            print(f"{len(about['skipped'])} skipped, {sum(map(sum, about['songs'].values()))} used", file=sys.stderr)
        print(report(model))
        print(f"model: {folder.printable(str(self.path))}")
        return 1 if about["skipped"] else 0

    def _finished(self):
        return finished(self.path, load_model, self.key, self.args.force)

    def _train(self):
        from joblib.externals.loky import get_reusable_executor

        from dbn.audio.frames import FrameSet, FrameStore
        from dbn.training.fit import label_songs  # with PyTensor, which takes seconds to import
        from dbn.training.running import check_lengths

        # joblib's tracker of temporary files complains on standard error if the process ends by Ctrl-C
        os.environ.setdefault("PYTHONWARNINGS", "ignore:resource_tracker")
        store = FrameStore.build(self.corpus, self.work.path / "frames", jobs=self.jobs)
        get_reusable_executor().shutdown()  # the readers' memory, for the training
        tracks = [track for track in self.corpus.tracks if track.name not in store.skipped_names]
        split = self._split(tracks)
        if not self.args.unsupervised:  # of which all songs are asked in the end
            for _, settings, _ in self.recipes.values():
                check_lengths(FrameSet.from_store(store, [song.name for song in store.songs]), settings)
        splits.warn_identical(split, identical.identical_files(tracks))
        about = {"dataset": self.corpus.name, "synthetic": False, "key": self.key, "skipped": store.skipped,
                 "songs": _song_counts(store, split), "split": "table" if self.parts else list(self.fractions)}
        model = self._best_of_recipes(store, split, about)
        if model.classes:
            answers = label_songs(model, FrameSet.from_store(store, split.test))
            model.about["test"] = {"n_songs": len(answers["true"]),
                                   "n_correct": int((answers["true"] == answers["predicted"]).sum()),
                                   "windows": self._beside_mfccs(model, store, split)}
        # written within the work folder, so that a kill leaves nothing beside the model's place
        unnamed = self._network_folder(self.key) / "model.npz"
        with disk_errors(self.path):
            unnamed.parent.mkdir(exist_ok=True)
            save_model(unnamed, model)
            move_into_place(unnamed, self.path)
        return model

    def _network_folder(self, key):
        return self.work.path / f"dbn-{key[:12]}"

    def _best_of_recipes(self, store, split, about):
        """The model; of several recipes that whose features do best on the validation songs."""
        from dbn.evaluation.windows import chosen_svm, learned_windows
        from dbn.training.fit import fit_model
        tried, best, best_rank = {}, None, None
        for name, recipe in self.recipes.items():
            key, started = self._key({name: recipe}), time.monotonic()
            with ended_by_interrupt(_stopped(self.path)):
                model = fit_model(store, split, *recipe[:2], self._network_folder(key), self.key, about)
            model.about["recipe"] = {"name": name, "about": recipe[2], "tried": {}}
            if len(self.recipes) == 1:
                return model
            _, accuracy = chosen_svm(learned_windows(model, store), self._labels(), split, self.jobs)
            tried[name] = {"valid_accuracy": accuracy, "seconds": time.monotonic() - started}
            rank = accuracy, -model.about["best_error"]
            if best is None or rank > best_rank:
                best, best_rank = model, rank
            left = (len(self.recipes) - len(tried)) * tried[name]["seconds"]
            print(f"recipe {name}: {accuracy:.3f} of validation songs, {tried[name]['seconds']:.0f} s; "
                  f"{len(self.recipes) - len(tried)} more, about {left / 60:.0f} min", file=sys.stderr)
        best.about["recipe"]["tried"] = tried
        return best

    def _beside_mfccs(self, model, store, split):
        """How many test songs an SVM labels right by the learned features and by MFCCs, as JSON takes it."""
        from dbn.evaluation.stats import mcnemar_exact
        from dbn.evaluation.windows import LEARNED, MFCCS, learned_windows, mfcc_windows, test_answers
        path_of = {track.name: track.path for track in self.corpus.tracks}
        windows = {LEARNED: learned_windows(model, store),
                   MFCCS: mfcc_windows({song.name: path_of[song.name] for song in store.songs}, self.jobs)}
        try:
            answers = test_answers(windows, self._labels(), split, self.jobs)
        except DBNError as error:  # a split of the user's own may leave a class without training songs
            return {"why_not": str(error)}
        return {name: int(right.sum()) for name, right in answers.items()} | {"p": mcnemar_exact(*answers.values())}

    def _labels(self):
        return {track.name: track.label for track in self.corpus.tracks}

    def _split(self, tracks):
        if self.args.unsupervised:
            split = splits.Split(tuple(track.name for track in tracks), (), ())
        elif self.parts is None:
            split = splits.split_by_class(tracks, self.seed, self.fractions)
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
