"""The autotagging experiment behind Table 4 and Figure 3 (§5.2): tagged clips, their features, an SVM for every tag.

The network is one that was trained on genres, unchanged; it learns nothing from tags. Everything is kept under
``<out>/tagging/``, named by all that it depends on.
"""
import hashlib
import json
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from dbn.cli.inputs import open_model
from dbn.datasets import majorminer, synthetic
from dbn.datasets.corpus import Track
from dbn.errors import DBNError
from dbn.evaluation.autotag import TagResults, TagScore, evaluate_tags
from dbn.system.files import atomic_path, file_stamp
from dbn.system.stored import COUNT, PARTS, SECONDS, SHARE, Perhaps, kept_json, read_json
from dbn.system.versions import versions
from experiments.profiles import Profile
from experiments.steps.options import parse
from experiments.steps.known_songs import identical_pairs
from experiments.steps.pipeline import Corpora, Run
from experiments.steps.provenance import Origin
from experiments.steps.reporting import result_of
from experiments.tagging.features import MIM, ROWS, Clips, clip_features, parts_of

_SCORE = {"name": str, "accuracy": SHARE, "fold_accuracies": [SHARE], "fold_error": float, "n_positive": COUNT,
          "n_test": COUNT, "parameters": [(float, float)], "clips": [COUNT], "correct": [bool]}
_RESULTS = {"scores": [_SCORE], "left_out": [(str, str)], "seconds": SECONDS, "parts": Perhaps(PARTS)}

SVMS = "SVMs of the tags"  # what they are called among the parts of a result
TAGS_FILE, AUDIO_FOLDER = "clips.tsv", "audio"


def parse_tagging(description, argv=None):
    """The command line of a script of this experiment, with ``--model`` beside the options of all scripts.

    Returns
    -------
    argparse.Namespace
        See :func:`experiments.steps.options.parse`; ``model`` is a path or None.
    """
    model = {"type": Path, "help": "a trained network, the model.npz of a Table 1 (default: the one in --out, trained "
                                   "if it is not there; majorminer needs one)"}
    options = parse(description, argv, {"--model": model})
    if options.model is not None and options.winner:
        raise DBNError("--model and --from-sweep both say what the network is: give one of them")
    if any(getattr(options.profile, name) != getattr(Profile, name) for name in ("window_statistics", "window_scales")):
        raise DBNError("--window-statistics and --window-scales are for Table 3 and the questions; tags have mean and "
                       "variance over windows of one length: leave them out")
    options.repeats = 1  # its error is over the tags, not over seeds
    return options


@dataclass(frozen=True)
class Experiment:
    """What Table 4 and Figure 3 show.

    Attributes
    ----------
    options : argparse.Namespace
        Its profile has the frames' settings of the network.
    clips : Clips
    results : dict of str to dbn.evaluation.autotag.TagResults
        For each of `ROWS`, on the same draws.
    network : dict
        ``path``, and of its training ``dataset``, ``corpus_key`` (None where it was not kept) and ``best_error``
        (validation error of frames).
    model : dbn.trained.model.Model
        The network itself.
    seconds : dict of str to float
        Of every step.
    parts : list of (str, dict)
        What the results are made of, see :mod:`experiments.steps.provenance`.
    """

    options: object
    clips: Clips
    results: dict
    network: dict
    model: object
    seconds: dict
    parts: list


def run_experiment(options):
    """Make whatever is missing of the experiment.

    Parameters
    ----------
    options : argparse.Namespace
        See :func:`parse_tagging`.

    Returns
    -------
    Experiment

    Raises
    ------
    DBNError
        No network, no list of tags, no usable audio, a setting out of range.
    """
    if options.dataset not in ("synthetic", "majorminer"):
        raise DBNError(f"--dataset {options.dataset} has no tags: autotagging is for synthetic and majorminer")
    corpora = Corpora(options)
    path, model = find_network(options, corpora)
    # every row's frames are those that the network was trained on
    options.profile = replace(options.profile, **{"pooling": None} | model.frame_settings)
    folder = options.out / "tagging"
    folder.mkdir(parents=True, exist_ok=True)
    with corpora.timed("tagged"):
        corpus = tagged_corpus(options)
    with corpora.timed("tag_features"):
        clips = clip_features(corpus, model, options.profile, folder, options.jobs)
    results, seconds, parts = {}, 0.0, []
    for name in ROWS:
        results[name], taken, of_row = tag_results(name, clips, options, folder)
        seconds += taken
        parts += of_row
    network = {"path": str(path), "dataset": model.about.get("dataset", "unknown corpus"),
               "corpus_key": model.about.get("corpus_key"), "best_error": model.about.get("best_error")}
    steps = ("tagged", "tag_features")
    return Experiment(options, clips, results, network, model,
                      {step: corpora.seconds()[step] for step in steps} | {"tag_svms": seconds}, parts)


def as_result(table, experiment, rows):
    """What the JSON of this experiment's scripts holds, see :func:`experiments.steps.reporting.result_of`.

    Beside that, ``remarks`` (sentences to stand at the table), ``left_out`` (tags that could not be evaluated),
    ``n_clips`` (listed, without audio, used, and of these, of unknown artists), ``missing`` (ids of clips without
    audio) and ``network``.
    """
    options, clips = experiment.options, experiment.clips
    corpus = clips.corpus
    root = options.out / "tagged" if options.dataset == "synthetic" else options.root
    lines = [(f"list of tags, line {line}", why) for line, why in corpus.skipped]
    about = {"root": str(root.resolve()), "key": _corpus_key(corpus), "labels": "tags"}
    result = result_of(table, options, {"tagged clips": len(clips.used)}, rows, experiment.seconds,
                       Origin(about, experiment.parts, [*clips.skipped, *lines],
                              _warnings(clips, about["key"], options.out / "tagging")))
    untuned = ["The network's settings won a search, on genres; those of MIM and MFCCs had none."]
    return result | {"remarks": untuned if options.winner else [],
                     "left_out": [{"tag": tag, "why": why} for tag, why in experiment.results[MIM].left_out],
                     "n_clips": {"listed": len(corpus.clips), "without audio": len(corpus.missing),
                                 "used": len(clips.used),
                                 "of unknown artists": sum(not corpus.clips[i].artist for i in clips.used)},
                     "missing": list(corpus.missing), "network": experiment.network}


def _warnings(clips, key, folder):
    """Which used clips are the same but not known to be by one artist, who keeps clips in one fold: list of str."""
    artist = dict(zip([clips.corpus.clips[number].id for number in clips.used], tags_and_groups(clips)[1]))
    tracks = [Track(clip.id, clip.path, "") for clip in clips.corpus.clips if clip.path]
    found = [f"{one} = {other}" for one, other in identical_pairs(tracks, key, folder)
             if {one, other} <= artist.keys() and (artist[one] != artist[other] or not artist[one])]
    return [f"{len(found)} pair(s) of identical clips are not known to be by one artist and may be on two sides of a "
            f"fold: {', '.join(found)}"] if found else []


def _corpus_key(corpus):
    """Names the clips and their tags, as :func:`dbn.datasets.corpus.corpus_key` names songs and their classes."""
    clips = [(clip.id, clip.artist, clip.album, clip.path and file_stamp(clip.path)) for clip in corpus.clips]
    return hashlib.sha256(json.dumps([clips, corpus.tags, corpus.matrix.tolist()]).encode()).hexdigest()


def find_network(options, corpora):
    """The network's path and :class:`dbn.trained.model.Model`: ``--model``, or that of Table 1 in the same folder."""
    if options.model is not None:
        return options.model, open_model(options.model)
    if options.dataset == "majorminer":
        raise DBNError("--model is missing: MajorMiner has no genres to train the network on. Train one first, such as "
                       "with\n  python -m experiments.table1 --dataset gtzan --root data/gtzan --profile paper\n"
                       "and name the file that it leaves: --model results/gtzan-.../seed-0/dbn-.../model.npz")
    run = Run(corpora, options.seed)
    return run.network_folder / "model.npz", run.model


def tagged_corpus(options):
    """The clips and their tags: a :class:`dbn.datasets.majorminer.TagCorpus`; synthetic ones are made if need be."""
    profile = options.profile
    if options.dataset == "synthetic":
        path = synthetic.generate_tagged(options.out / "tagged", profile.n_tagged_clips, profile.tagged_seconds,
                                         profile.corpus_seed, jobs=options.jobs)
    else:
        path = options.root / TAGS_FILE
    return majorminer.load(path, path.parent / AUDIO_FOLDER, profile.min_players, profile.n_tags)


def tag_results(name, clips, options, folder):
    """Accuracies of the SVMs of one row, made once and kept in `folder`.

    Every row has the same folds, by artist, and the same draws. Clips of unknown artists count as one artist's where
    they are from the same album.

    Parameters
    ----------
    name : str
        One of `ROWS`.
    clips : experiments.tagging.features.Clips
        Clips, tags, features.
    options : argparse.Namespace
        Profile, seed and number of processes.
    folder : pathlib.Path
        Where they are kept.

    Returns
    -------
    results : dbn.evaluation.autotag.TagResults
    seconds : float
        That it took.
    parts : list of (str, dict)
        What they are made of.
    """
    profile, features = options.profile, clips.features[name]
    tags, groups = tags_and_groups(clips)
    settings = {"n_folds": profile.tag_folds, "seed": options.seed, **svm_grid(features, profile),
                "min_clips": profile.min_tagged_clips, "parts": parts_of(name, profile)}
    ids = [clips.corpus.clips[number].id for number in clips.used]
    depends_on = [name, clips.key, ids, groups, clips.corpus.tags, tags.tolist(), settings]
    path = folder / f"svms-{hashlib.sha256(json.dumps(depends_on).encode()).hexdigest()[:16]}.json"
    kept = kept_json(path, _RESULTS, lambda results: _fits(results, clips))
    if kept is None:
        started = time.monotonic()
        results = evaluate_tags(features, tags, groups, names=clips.corpus.tags, jobs=options.jobs, **settings)
        with atomic_path(path) as temporary:
            more = {"seconds": time.monotonic() - started, "parts": [*clips.parts, (SVMS, versions())]}
            temporary.write_text(json.dumps(asdict(results) | more, allow_nan=False))
        kept = read_json(path, _RESULTS)
    scores = tuple(TagScore(**{name: score[name] for name in _SCORE}) for score in kept["scores"])
    parts = kept.get("parts", [*clips.parts, (SVMS, {})])
    return TagResults(scores, tuple(map(tuple, kept["left_out"]))), kept["seconds"], parts


def _fits(kept, clips):
    """Whether results are those of the clips' tags, and each score's draws of one length."""
    names = [score["name"] for score in kept["scores"]] + [name for name, _ in kept["left_out"]]
    return kept["scores"] != [] and sorted(names) == sorted(clips.corpus.tags) and all(
        len(score["clips"]) == len(score["correct"]) == score["n_test"]
        and max(score["clips"], default=0) < len(clips.used) for score in kept["scores"])


def tags_and_groups(clips):
    """Of the used clips, the tags, bool [n, n_tags], and the artists by which they are divided, a list of str."""
    about = [clips.corpus.clips[number] for number in clips.used]
    return clips.corpus.matrix[clips.used], [(clip.artist or clip.album).casefold() for clip in about]


def svm_grid(features, profile):
    """The values of C and gamma of a row's SVMs: a dict, for :func:`dbn.evaluation.autotag.evaluate_tags`."""
    return {"C": profile.tag_C, "gamma": [gamma / features[0].shape[1] for gamma in profile.tag_gamma]}
