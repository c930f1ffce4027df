"""The paper's main claim (§5.1): one kind of SVM on MFCCs and on the learned features, on the same songs.

Tables 2 and 3 differ only in what an SVM's examples are, single frames or windows. A table gives a function of a
:class:`experiments.steps.pipeline.Run` that returns an :class:`Examples`; everything else stands here.
"""
import hashlib
import json
import time
from dataclasses import asdict, dataclass
from typing import Callable

import numpy as np

from dbn.errors import DBNError
from dbn.evaluation.svm import select, vote
from dbn.system.files import atomic_path
from dbn.system.progress import progress_bar
from dbn.system.stored import PARTS, SECONDS, SHARE, Among, Perhaps, kept_json
from dbn.system.versions import versions
from experiments.steps import pictures
from experiments.steps.features import RIVAL, FeatureSets, feature_names, mfcc_choices
from experiments.steps.judging import Judge, interval_text, p_text, p_values_text, with_holm
from experiments.steps.pipeline import prepared_runs
from experiments.steps.reporting import heading, markdown_table, range_text, table_result, write_table


@dataclass(frozen=True)
class Examples:
    """What the SVMs of one run are trained, chosen and tested on, for every feature set by its name.

    A row of the table may be chosen from several feature sets, see :class:`experiments.steps.features.FeatureSets`.

    Attributes
    ----------
    train_x : dict of str to float32 [n, d]
        Training examples of each feature set; the same frames or windows in all.
    train_y : str array [n]
        Their classes.
    valid_songs : dict of str to list of float32 [n_i, d]
        Of each feature set, one array a validation song.
    valid_labels : str array [n_songs]
        Their classes.
    test_songs : list of dbn.audio.frames.Song
        The test songs.
    of_song : callable
        Gives for a test song the dict of str to float32 [n_i, d].
    """

    train_x: dict
    train_y: np.ndarray
    valid_songs: dict
    valid_labels: np.ndarray
    test_songs: list
    of_song: Callable


def compare(options, table, examples_of, grid, paper_accuracies, title):
    """Make a table: an SVM for each feature set and seed, accuracies over all seeds, paired tests against MFCCs.

    Parameters
    ----------
    options : argparse.Namespace
        See :func:`experiments.steps.options.parse`.
    table : str
        ``"table2"`` or ``"table3"``.
    examples_of : callable
        Gives the :class:`Examples` of a run and its :class:`experiments.steps.features.FeatureSets`.
    grid : dict
        See :func:`dbn.evaluation.svm.select`.
    paper_accuracies : dict of str to float
        By row name.
    title : str
        Of the table.
    """
    print(f"{title}: {options.dataset}, profile {options.profile_name}; results go to {options.out}", flush=True)
    corpora, runs = prepared_runs(options)
    answers = [_answers(run, table, examples_of, grid, options.jobs) for run in runs]
    names, judge = feature_names(runs[0].model.n_layers), Judge.of_runs(runs)
    _check_songs(answers, judge, corpora.corpus)
    classes = corpora.corpus.classes
    correct = {name: [np.array(answer["true"]) == np.array(answer["rows"][name]["predicted"]) for answer in answers]
               for name in names}
    rows = with_holm([_row(name, answers, judge, correct, classes, paper_accuracies.get(name)) for name in names],
                     "p_vs_mfcc", "p_vs_mfcc_holm")
    seconds = {step: float(np.mean([answer["seconds"][step] for answer in answers]))
               for step in answers[0]["seconds"]}
    parts = [part for run, answer in zip(runs, answers) for name in names for part in _parts(run, answer["rows"][name])]
    result = table_result(table, options, corpora, runs, rows, corpora.seconds() | seconds, parts)
    result |= judge.as_json(correct)
    searched = list(mfcc_choices(options)) if options.winner else []
    chosen = [answer["rows"][RIVAL]["features"] for answer in answers]
    result["mfccs"] = {"searched": searched, "chosen": chosen}
    result["remarks"] = [f"The MFCCs were chosen on the validation songs too, among {len(searched)} settings: "
                         f"{', '.join(dict.fromkeys(chosen))}."] if searched else []
    result["selection"] = [{"seed": run.seed, **{name: answer["rows"][name]["log"] for name in names}}
                           for run, answer in zip(runs, answers)]
    write_table(options.out, result, _markdown(result, title))
    _draw(options, table, rows, answers, classes, title)


def _answers(run, table, examples_of, grid, jobs):
    """What the SVMs of one run say of its test songs; kept on disk, so that a killed comparison goes on.

    Returns
    -------
    dict
        ``true`` (list of str), ``seconds`` and ``rows``: for each row of the table ``predicted`` (list of str), ``C``,
        ``gamma``, the ``features`` it was chosen to be, ``log`` and ``parts``, what it was made of (see
        :mod:`experiments.steps.provenance`).
    """
    mfccs = mfcc_choices(run.corpora.options)
    depends_on = [run.network_folder.name, run.split.test, asdict(run.profile), grid, list(mfccs)]
    key = hashlib.sha256(json.dumps(depends_on, default=str).encode()).hexdigest()[:12]
    path = run.folder / f"{table}-{key}.json"
    answers = kept_json(path, answers_form(run.corpora.corpus.classes), answers_fit) or {"rows": {}, "seconds": {}}
    names = feature_names(run.model.n_layers)
    if all(name in answers["rows"] for name in names):
        return answers
    started = time.monotonic()
    features = FeatureSets(run, mfccs)
    examples = examples_of(run, features)
    answers["seconds"]["features"] = time.monotonic() - started
    answers["true"] = [run.corpora.corpus.classes[song.label] for song in examples.test_songs]
    parts = [*run.parts, ("frames", run.corpora.store.versions), *features.parts, (_svms_of(run), versions())]
    for name in names:
        if name in answers["rows"]:
            continue
        started = time.monotonic()
        choice, svm, log = choose(features.choices[name], examples, grid, jobs)
        chosen = time.monotonic()
        songs = progress_bar(f"{name}, test songs", examples.test_songs, unit=" songs")
        predicted = [str(vote(svm.predict(examples.of_song(song)[choice]))) for song in songs]
        answers["rows"][name] = {"predicted": predicted, "C": svm.C, "gamma": svm.gamma, "features": choice, "log": log,
                                 "parts": parts}
        for step, seconds in (("SVM training and choice", chosen - started), ("test", time.monotonic() - chosen)):
            answers["seconds"][step] = answers["seconds"].get(step, 0.0) + seconds
        with atomic_path(path) as temporary:
            temporary.write_text(json.dumps(answers, allow_nan=False))
    return answers


def answers_form(classes):
    """The form of what :func:`_answers` keeps, see :mod:`dbn.system.stored`; `classes` are the corpus's names."""
    point = {"features": str, "C": float, "gamma": float, "song_accuracy": SHARE, "example_accuracy": SHARE}
    row = {"predicted": [Among(classes)], "C": float, "gamma": float, "features": str, "log": [point],
           "parts": Perhaps(PARTS)}
    return {"rows": {str: row}, "seconds": {"features": SECONDS, "SVM training and choice": SECONDS, "test": SECONDS},
            "true": [Among(classes)]}


def answers_fit(answers):
    """Whether every row has an answer for each song."""
    return all(len(row["predicted"]) == len(answers["true"]) and row["log"] for row in answers["rows"].values())


def choose(names, examples, grid, jobs):
    """The feature set, of some, whose SVM is best on the validation songs.

    Returns
    -------
    name : str
        Of equals, the first.
    svm : dbn.evaluation.svm.RBFSVM
    log : list of dict
        What :func:`dbn.evaluation.svm.select` says of every C and gamma, for all feature sets.
    """
    best, best_rank, logs = None, None, []
    for name in names:
        svm, log = select(examples.train_x[name], examples.train_y, examples.valid_songs[name],
                          examples.valid_labels, grid, jobs=jobs)
        logs += [{"features": name, **point} for point in log]
        rank = max((point["song_accuracy"], point["example_accuracy"]) for point in log)
        if best is None or rank > best_rank:
            best, best_rank = (name, svm), rank
    return *best, logs


def _svms_of(run):
    return f"SVMs, seed {run.seed}"


def _parts(run, row):
    """What a row of :func:`_answers` is made of; of one that an older program kept, the network alone is known."""
    return row.get("parts", [*run.parts, (_svms_of(run), {})])


def _check_songs(answers, judge, corpus):
    """Make sure that answers kept by an earlier run are those for the songs of the split, in their order."""
    labels = {track.name: track.label for track in corpus.tracks}
    for answer, split in zip(answers, judge.splits):
        if answer["true"] != [labels[name] for name in split.test]:
            raise DBNError(f"seed {split.seed}: the answers kept in its folder are not those for its {len(split.test)} "
                           "test songs; delete the folder's table2-*.json and table3-*.json and run this again")


def _pooled(answers, name):
    """True and predicted classes of all runs' test songs: two str arrays."""
    return (np.concatenate([answer["true"] for answer in answers]),
            np.concatenate([answer["rows"][name]["predicted"] for answer in answers]))


def _row(name, answers, judge, correct, classes, paper_accuracy):
    true, predicted = _pooled(answers, name)
    tests = dict.fromkeys(("p_vs_mfcc", "p_vs_mfcc_method", "p_resampled_t"))
    if name != RIVAL:
        tests = judge.against_mfcc(correct[name], correct[RIVAL])
    row = judge.row(name, correct[name], paper_accuracy) | tests
    row["accuracies"] = [float(np.mean(of_split)) for of_split in correct[name]]
    row["recall"] = {label: float((predicted == label)[true == label].mean()) for label in classes
                     if (true == label).any()}
    for value in ("C", "gamma"):
        chosen = [answer["rows"][name][value] for answer in answers]
        row[value] = chosen if len(chosen) > 1 else chosen[0]
    return row


def _markdown(result, title):
    has_t = any(row["p_resampled_t"] is not None for row in result["rows"])
    rows = [[row["name"], interval_text(row), p_text(row["p_vs_mfcc"]), p_text(row["p_vs_mfcc_holm"]),
             *([p_text(row["p_resampled_t"])] if has_t else []), range_text(row["C"]), range_text(row["gamma"]),
             "" if row["paper"] is None else f"{row['paper']:.3f}"] for row in result["rows"]]
    table = markdown_table(["", "ours", f"p against {RIVAL}", "Holm", *(["resampled t"] if has_t else []), "C", "gamma",
                            "paper (GTZAN)"], rows)
    classes = list(result["rows"][0]["recall"])
    recall = markdown_table(["recall", *classes], [[row["name"], *(f"{row['recall'][label]:.2f}" for label in classes)]
                                                   for row in result["rows"]])
    over_seeds = "; of several seeds, their smallest and largest value" if result["repeats"] > 1 else ""
    return (f"{heading(result, title)} {p_values_text(result)} C and gamma were chosen on the validation songs"
            f"{over_seeds}. {' '.join(result['remarks'])}\n\n{table}\n\n{recall}")


def _draw(options, table, rows, answers, classes, title):
    best = max(rows, key=lambda row: row["accuracy"])["name"]
    true, predicted = _pooled(answers, best)
    number = {label: i for i, label in enumerate(classes)}
    pictures.confusion_matrix(options.out / f"{table}-confusion", [number[label] for label in true],
                              [number[label] for label in predicted], classes,
                              f"{title}\nbest row: {best}, {options.dataset}")
