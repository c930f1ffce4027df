"""The options that all scripts share, and how a script ends."""
import argparse
import shlex
import sys
import warnings
from dataclasses import fields, replace
from pathlib import Path

from dbn.audio.pooling import pooled_frames, pooled_width
from dbn.audio.scaling import Scaling
from dbn.cli.options import add_options, check_bounds, checked_jobs, option_name
from dbn.errors import DBNError
from dbn.features.aggregate import require_statistics
from dbn.system.interrupts import hear_interrupts
from dbn.system.standard_streams import BROKEN_PIPE, drop_stdout, prepare_streams
from dbn.training.recipes import NETWORKS, RECIPES, recipes_of
from dbn.training.settings import ConvolutionalSettings, TrainingSettings
from experiments.profiles import BOUNDS, PRETRAIN_SONGS, PROFILES, Profile
from experiments.steps.results_folder import results_folder
from experiments.steps.winner import OF_PROFILE, TAKEN, read_winner

STOPPED = "stopped; the same command goes on from the last checkpoint"  # said after Ctrl-C

DATASETS = ("synthetic", "gtzan", "folder", "majorminer")

_BOUNDS = {"repeats": (1, 1000), "seed": (0, 2**32 - 1001)}  # of what is no field of a profile

# fields of a profile that are not options of their own
_NO_OPTIONS = ("training", "split", "corpus_seed")
# in the order of the fields, as a message names the first one that does not fit
_TRAINING_OPTIONS = tuple(dict.fromkeys(
    field.name for settings in (TrainingSettings, ConvolutionalSettings) for field in fields(settings)
    if field.name != "seed"))


def path_of(text):
    """The path that an option names."""
    return Path(text).expanduser()


def parse(description, argv=None, own_options=None):
    """Read a script's command line.

    Parameters
    ----------
    description : str
        First line of its help.
    argv : list of str, optional
        Instead of the process's own arguments.
    own_options : dict of str to dict, optional
        Options of this script alone: the keyword arguments of ``ArgumentParser.add_argument``.

    Returns
    -------
    argparse.Namespace
        ``dataset``, ``root``, ``seed``, ``repeats``, ``jobs``, ``out`` (a path), ``split`` and ``profile``, a
        :class:`experiments.profiles.Profile` with the changes that were asked for, among them the search's winner;
        ``profile_name``; ``winner``, what :func:`experiments.steps.winner.read_winner` says about the latter, or None;
        ``argv``, the arguments as they were given; ``networks``, none: the folders of networks that were trained
        elsewhere, see :class:`experiments.steps.question.Variant`.
    """
    argv = sys.argv[1:] if argv is None else argv
    options = _parser(description, own_options).parse_args(argv)
    options.argv, options.networks = list(argv), []
    return _with_profile(options)


def _parser(description, own_options=None, **of_parser):
    parser = argparse.ArgumentParser(description=description, usage="%(prog)s [options]",
                                     formatter_class=argparse.ArgumentDefaultsHelpFormatter, **of_parser)
    parser.add_argument("--dataset", choices=DATASETS, default="synthetic", help="which corpus")
    parser.add_argument("--root", type=path_of, help="the corpus's folder (gtzan, folder, majorminer)")
    parser.add_argument("--profile", choices=sorted(PROFILES), default="demo", help="how large the experiment is")
    parser.add_argument("--seed", type=int, default=0, help="of the split and of the training")
    parser.add_argument("--repeats", type=int, default=1, help="seeds to run, from --seed on; their songs are pooled")
    parser.add_argument("--jobs", type=int, default=-1, help="processes; -1 is one a core")
    parser.add_argument("--out", type=path_of,
                        help="where results go (default: results/synthetic-<profile>; of another corpus "
                             "results/<dataset>-<root's name>-<its key>-<profile>)")
    parser.add_argument("--split", help="class, artist, sturm (GTZAN's fault-filtered one; it fixes the songs, and the "
                                        "paper's sizes are --profile paper), or a CSV file with the columns track,part "
                                        "(default: the profile's)")
    parser.add_argument("--from-sweep", action="store_true",
                        help="the network has the settings that won the search (sweep.json in --out), trained for as "
                             "many epochs as the profile says")
    parser.add_argument("--recipe", choices=["profile", "recommended", *RECIPES], default="profile",
                        help="of dbn/training/recipes.py, instead of the profile's scaling and training")
    parser.add_argument("--network", choices=NETWORKS, default="frames",
                        help="the paper's, which sees a frame at a time, or a convolutional one over time")
    for name, arguments in (own_options or {}).items():
        parser.add_argument(name, **arguments)
    add_options(parser.add_argument_group("changes to the profile (see experiments/profiles.py)"), Profile,
                _NO_OPTIONS)
    add_options(parser.add_argument_group("changes to the profile's training (see dbn/training/settings.py)"),
                TrainingSettings, ("seed",))
    add_options(parser.add_argument_group("those of a convolutional network alone"), ConvolutionalSettings,
                [field.name for field in fields(TrainingSettings)])
    return parser


def shared_arguments(argv):
    """Those of a script's arguments that every script takes, its own options left out; all where one has no sense."""
    shared = []
    try:
        own = _parser("", add_help=False, exit_on_error=False).parse_known_args(argv)[1]
    except argparse.ArgumentError:
        return argv
    for argument in argv:
        if own and argument == own[0]:  # they stand in the order of the command line
            own.pop(0)
        else:
            shared.append(argument)
    return shared


def command(script, argv):
    """The line to copy into a shell that runs ``experiments/<script>.py`` with these arguments."""
    return shlex.join(["python", "-m", f"experiments.{script}", *argv])


def search_command(options):
    """The line that makes the search whose winner these options take."""
    return command("sweep", [argument for argument in options.argv if argument != "--from-sweep"])


def _with_profile(options):
    """The namespace with the chosen profile, changed as asked, and what else follows from the options."""
    given = vars(options)
    training = {name: given.pop(name) for name in _TRAINING_OPTIONS if name in given}
    changes = {field.name: given.pop(field.name) for field in fields(Profile)
               if field.name not in _NO_OPTIONS and field.name in given}
    options.profile_name = options.profile
    if options.recipe != "profile":
        if options.from_sweep:
            raise DBNError("--from-sweep and --recipe both say what the network is: give one")
        [recipe] = recipes_of(options.recipe).values()
        changes, training = {"scaling": recipe.scaling} | changes, recipe.changes | training
    if options.split:
        changes["split"] = options.split
    if options.network == "convolutional" and (options.from_sweep or options.recipe != "profile"):
        raise DBNError("--network convolutional has settings of its own; leave --from-sweep and --recipe out")
    options.profile = PROFILES[options.profile_name].changed(changes, training, options.network)
    _check(options)
    if options.out is None:
        options.out = results_folder(options.dataset, options.root, options.profile_name)
    options.jobs = checked_jobs(options.jobs)
    options.winner = _take_winner(options, {*training, *changes}) if options.from_sweep else None
    return options


def _take_winner(options, given):
    """Put the search's winner into the profile; what :func:`experiments.steps.winner.read_winner` says about it."""
    for name in TAKEN:
        if name in given:
            raise DBNError(f"--from-sweep and {option_name(name)} both say what the network is: give one")
    run = {"dataset": options.dataset, "profile": options.profile_name, "seed": options.seed,
           "repeats": options.repeats} | {name: getattr(options.profile, name) for name in OF_PROFILE}
    settings, about = read_winner(options.out, search_command(options), run)
    scaling = settings.pop("scaling")
    options.profile = replace(options.profile, scaling=scaling, training=replace(options.profile.training, **settings))
    return about


def _check(options):
    profile = options.profile
    if options.dataset != "synthetic" and options.root is None:
        raise DBNError(f"--root is missing: name the folder of the {options.dataset} corpus (make: ROOT=FOLDER)")
    if options.dataset == "synthetic" and options.root is not None:
        raise DBNError("--root is for gtzan, folder and majorminer; the synthetic corpus is made under --out")
    if options.root is not None and not options.root.is_dir():
        raise DBNError(f"--root {options.root}: there is no such folder")
    if profile.split == "sturm" and options.dataset != "gtzan":
        raise DBNError(f"--split sturm names tracks of GTZAN, and the data set is {options.dataset}: give --dataset "
                       "gtzan --root FOLDER (and --profile paper for the paper's sizes), or another --split")
    check_bounds(options, _BOUNDS)
    check_bounds(profile, BOUNDS)
    if profile.pretrain_songs not in PRETRAIN_SONGS and not Path(profile.pretrain_songs).is_dir():
        raise DBNError(f"--pretrain-songs is {profile.pretrain_songs!r}: give {', '.join(PRETRAIN_SONGS)}, or a folder "
                       "of audio files")
    if options.network == "convolutional" and profile.train_share != 1:
        raise DBNError("--train-share draws single frames, and --network convolutional learns from songs; give "
                       "--train-songs")
    pooled_frames(profile.pooling)  # refuses what is none
    require_statistics(profile.window_statistics)
    n_ins = Scaling(profile.scaling).n_components or pooled_width(profile.pooling, profile.frame_length // 2 + 1)
    profile.training.require_size(n_ins)


def run_script(main, argv=None):
    """Run a script's `main(argv)` and end the process: 0, or 2 and one message for what the user can put right.

    141 where standard output has no reader left.
    """
    warnings.showwarning = lambda message, *_, **__: print(f"warning: {message}", file=sys.stderr)
    prepare_streams()
    hear_interrupts()
    try:
        try:
            main(argv)
        finally:  # --help ends by SystemExit
            sys.stdout.flush()
    except DBNError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    except BrokenPipeError:
        drop_stdout()
        sys.exit(BROKEN_PIPE)
    except OSError as error:  # of the disk or the system: full, not permitted, not there
        print(f"error: {error.filename or 'system'}: {error.strerror or error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print(STOPPED, file=sys.stderr)
        sys.exit(130)
