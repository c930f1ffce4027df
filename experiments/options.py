"""The options that all scripts share, and how a script ends."""
import argparse
import sys
import warnings
from dataclasses import fields, replace
from pathlib import Path

from dbn.errors import DBNError
from dbn.settings import TrainingSettings
from experiments.profiles import PROFILES

DATASETS = ("synthetic", "gtzan", "folder")

# options of a profile that a command line may change, beside those of the training
_FRAME_OPTIONS = {"sample_rate": int, "frame_length": int, "hop_length": int, "window": str, "scaling": str,
                  "clips_per_genre": int, "clip_seconds": float}


def _units(text):
    """"50,50,50" as (50, 50, 50)."""
    return tuple(int(units) for units in text.split(","))


def _optional_int(text):
    return None if text == "none" else int(text)


_PARSERS = {"hidden_layers_sizes": _units, "patience": _optional_int}


def parse(description, argv=None):
    """Read a script's command line.

    Parameters
    ----------
    description : str
        First line of its help.
    argv : list of str, optional
        Instead of the process's own arguments.

    Returns
    -------
    argparse.Namespace
        ``dataset``, ``root``, ``seed``, ``repeats``, ``jobs``, ``out`` (a path), ``split`` and ``profile``, a
        :class:`experiments.profiles.Profile` with the changes that were asked for; ``profile_name``.
    """
    parser = argparse.ArgumentParser(description=description,
                                     formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--dataset", choices=DATASETS, default="synthetic", help="which corpus")
    parser.add_argument("--root", type=Path, help="the corpus's folder (gtzan, folder)")
    parser.add_argument("--profile", choices=sorted(PROFILES), default="demo", help="how large the experiment is")
    parser.add_argument("--seed", type=int, default=0, help="of the split and of the training")
    parser.add_argument("--repeats", type=int, default=1, help="seeds to run, from --seed on; their songs are pooled")
    parser.add_argument("--jobs", type=int, default=-1, help="processes; -1 is one a core")
    parser.add_argument("--out", type=Path, help="where results go (default: results/<dataset>-<profile>)")
    parser.add_argument("--split", help="class, artist, sturm, or a CSV file with the columns track,part "
                                        "(default: the profile's)")
    changes = parser.add_argument_group("changes to the profile (see experiments/profiles.py)")
    for name, kind in _FRAME_OPTIONS.items():
        changes.add_argument(_flag(name), type=kind, default=argparse.SUPPRESS)
    training = parser.add_argument_group("changes to the profile's training (see dbn/settings.py)")
    for setting in fields(TrainingSettings):
        if setting.name != "seed":
            kind = _PARSERS.get(setting.name, type(setting.default))
            training.add_argument(_flag(setting.name), type=kind, default=argparse.SUPPRESS)
    options = parser.parse_args(argv)
    return _with_profile(options)


def _flag(name):
    return "--" + name.replace("_", "-")


def _with_profile(options):
    given = vars(options)
    trained = {field.name: given.pop(field.name) for field in fields(TrainingSettings)
               if field.name != "seed" and field.name in given}
    framed = {name: given.pop(name) for name in _FRAME_OPTIONS if name in given}
    if framed.get("window") == "none":
        framed["window"] = None
    options.profile_name = options.profile
    profile = PROFILES[options.profile_name]
    if options.split:
        framed["split"] = options.split
    options.profile = replace(profile, **framed, training=replace(profile.training, **trained))
    if options.out is None:
        options.out = Path("results") / f"{options.dataset}-{options.profile_name}"
    if options.dataset != "synthetic" and options.root is None:
        raise DBNError(f"--root is missing: name the folder of the {options.dataset} corpus")
    if options.dataset == "synthetic" and options.root is not None:
        raise DBNError("--root is for gtzan and folder; the synthetic corpus is made under --out")
    for name, least in (("repeats", 1), ("seed", 0)):
        if getattr(options, name) < least:
            raise DBNError(f"--{name} is {getattr(options, name)}: give an integer of at least {least}")
    if options.jobs == 0 or options.jobs < -1:
        raise DBNError(f"--jobs is {options.jobs}: give the number of processes, or -1 for one a core")
    return options


def run_script(main, argv=None):
    """Run a script's `main(argv)` and end the process: 0, or 2 and one message for what the user can put right."""
    warnings.showwarning = lambda message, *_, **__: print(f"warning: {message}", file=sys.stderr)
    try:
        main(argv)
    except DBNError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print("stopped; the same command goes on from the last checkpoint", file=sys.stderr)
        sys.exit(130)
