"""A question that the paper left open (§5.3, §6): its system beside variants of it, and what each of them costs.

Of every system two accuracies are measured on the same test songs: Table 1's, of the network alone, and Table 3's of
All Layers, which is about "the quality of the representation". Both are paired with those of the first row, which is
the system as the profile has it. Costs are those of the network's training, each with one thread. A row may also be
chosen among others, for each seed by its validation songs, or be MFCCs. Where a row differs in the windows of Table 3
alone, its network is that of the row it is compared with, and there is no difference of networks to test.
"""
import hashlib
import json
from dataclasses import asdict, dataclass, field

import numpy as np

from dbn.evaluation.svm import vote
from dbn.system.files import atomic_path
from dbn.system.progress import progress_bar
from dbn.system.stored import COUNT, PARTS, SECONDS, SHARE, Either, kept_json
from dbn.system.versions import versions
from experiments.steps import pictures
from experiments.steps.comparison import choose
from experiments.steps.features import RIVAL, FeatureSets, mfcc_settings, searched_mfccs
from experiments.steps.judging import Judge, interval_text, p_text, with_holm
from experiments.steps.pipeline import n_frames, prepared_systems, warnings_of
from experiments.steps.reporting import heading, markdown_table, table_result, write_table

ALL_LAYERS = "All Layers"
NETWORK = "network"
STAGES = "pretrain", "finetune"
MARGIN = 0.05  # of song accuracy: a smaller loss may be a price for time
N_NAMED = 4  # rows that an answer names one by one
_ANSWER = {"correct": {ALL_LAYERS: [bool], NETWORK: Either((None, [bool]))}, "parts": PARTS,
           "valid_error": Either((None, SHARE)), "valid_accuracy": SHARE,
           "costs": {"epoch_seconds": Either((None, SECONDS)), "best_seconds": Either((None, SECONDS)),
                     "training_bytes": Either((None, COUNT)), "peak_bytes": Either((None, COUNT))}}
MEASURES = {ALL_LAYERS: "", NETWORK: "network_"}  # what the keys of a row begin with


@dataclass(frozen=True)
class Variant:
    """A row of a question's table.

    Attributes
    ----------
    name : str
    profile, training : dict
        The fields of :class:`experiments.profiles.Profile`, and of its training, that differ from the first row's.
    network : {"frames", "convolutional"}
        Which network, see :meth:`experiments.profiles.Profile.changed`.
    networks : list of str
        Folders of networks that were trained elsewhere, one a seed; without any the networks are trained here.
    against : str
        Name of the row that it is compared with, if it is there; else that is the first one.
    among : list of str
        Names of rows, "" being the first one's; for every seed it is that of them with the lowest validation frame
        error.
    has_mfccs : bool
        Whether it is the MFCCs that are best on the validation songs instead of a network's features, see
        :func:`experiments.steps.features.searched_mfccs`.
    is_trial : bool
        Its difference is not among those that are tested, which Holm corrects for, where a row is chosen among it and
        others.
    """

    name: str
    profile: dict = field(default_factory=dict)
    training: dict = field(default_factory=dict)
    network: str = "frames"
    networks: list = field(default_factory=list)
    against: str = ""
    among: list = field(default_factory=list)
    has_mfccs: bool = False
    is_trial: bool = False

    def of(self, options):
        """The options with these changes; other frames than the search's are no mistake in a row of its own."""
        profile = options.profile.changed(self.profile, self.training, self.network)
        return replace_options(options, profile=profile, networks=self.networks,
                               winner=None if self.profile else options.winner)


def replace_options(options, **changes):
    """A namespace like `options` but for the changes."""
    return type(options)(**vars(options) | changes)


def ask(options, name, question, variants, examples_of, grid):
    """Train, test and judge the systems of a question; write and print its table, JSON and picture.

    Parameters
    ----------
    options : argparse.Namespace
        See :func:`experiments.steps.options.parse`.
    name : str
        Of the script, and of what it writes.
    question : str
        In words.
    variants : list of Variant
        The rows but for the first, of which :func:`evenly_taken` may leave some out.
    examples_of : callable
        Table 3's :func:`experiments.table3.window_examples`.
    grid : dict
        Its grid, see :func:`dbn.evaluation.svm.select`.
    """
    print(f"{question}\n{options.dataset}, profile {options.profile_name}; results go to {options.out}", flush=True)
    variants = [Variant("search's winner" if options.winner else "as in the profile"), *variants]
    variants = evenly_taken(variants, options.profile.question_rows or len(variants))
    measured = [variant for variant in variants if not variant.among]
    prepared = prepared_systems([variant.of(options) for variant in measured])
    answers = {variant.name: [_answer(run, variant, examples_of, grid, options.jobs) for run in runs]
               for variant, (_, runs) in zip(measured, prepared)}
    for variant in variants:
        if variant.among:
            of_rows = [answers[name or variants[0].name] for name in variant.among]
            answers[variant.name] = [chosen(of_seed) for of_seed in zip(*of_rows)]
    corpora, runs = prepared[0]
    judge = Judge.of_runs(runs)
    tried = {name for variant in variants for name in variant.among}
    networks = {variant.name: [run.network_folder for run in of_seeds]
                for variant, (_, of_seeds) in zip(measured, prepared)}
    rows = [_row(variant, answers, judge, is_tested=not (variant.is_trial and variant.name in tried), networks=networks)
            for variant in variants]
    for of_measure in MEASURES.values():
        rows = with_holm(rows, f"{of_measure}p", f"{of_measure}p_holm")
    parts = [part for of_row in answers.values() for answer in of_row for part in answer["parts"]]
    result = table_result(name, options, corpora, runs, rows, corpora.seconds(), parts)
    correct = {f"{row}, {measure}": _correct(answers[row], measure) for row in answers for measure in MEASURES}
    result |= judge.as_json({name: of_row for name, of_row in correct.items() if of_row})
    result |= {"question": question, "warnings": warnings_of(prepared),
               "answers": list(filter(None, (answer_text(rows, measure) for measure in MEASURES))),
               "command": result["command"].replace("experiments.", "experiments.questions.", 1),
               "variants": [asdict(variant) for variant in variants]}
    pictures.accuracy_against_cost(options.out / name, rows, question)
    write_table(options.out, result, _markdown(result))


def evenly_taken(variants, most):
    """At most so many of the variants, evenly taken, the first among them, and those that these are compared with.

    A row that is chosen among others stays if all of them do.
    """
    measured = [variant for variant in variants if not variant.among]
    most = min(most, len(measured))
    taken = [measured[i] for i in np.unique(np.linspace(0, len(measured) - 1, most).round().astype(int))]
    names = {"", *(variant.name for variant in taken), *(variant.against for variant in taken)}
    return [variant for variant in variants if names.issuperset(variant.among or [variant.name])]


def _answer(run, variant, examples_of, grid, jobs):
    """What one system of one seed says of the test songs, and what its training took; kept on disk.

    Returns
    -------
    dict
        ``correct`` (by measure a list of bool, None of a network for other classes), ``valid_error`` of the network's
        frames, ``valid_accuracy``, the SVM's share of right validation songs, ``costs`` and
        ``parts``; and ``gap``, of the first layer after its pre-training, see :mod:`dbn.training.monitor`.
    """
    gaps = [] if variant.has_mfccs else [record.get("free_energy_gap") for record in run.model.history
                                         if record.get("layer") == 1]
    return _kept_answer(run, variant, examples_of, grid, jobs) | {"gap": gaps[-1] if gaps else None}


def _kept_answer(run, variant, examples_of, grid, jobs):
    windows = [getattr(run.profile, name) for name in
               ("window_seconds", "window_hop", "window_statistics", "window_scales", "svm_windows")]
    mfccs = searched_mfccs(run.profile) if variant.has_mfccs else {}
    # a network that was trained elsewhere is named by neither these frames nor these songs
    depends_on = [run.network_folder.name, run.corpora.store.key, run.split.valid, run.split.test, run.labelled_songs,
                  grid, windows, [mfcc_settings(profile) for profile in mfccs.values()]]
    key = hashlib.sha256(json.dumps(depends_on).encode()).hexdigest()[:12]
    path = run.folder / f"question-{key}.json"
    n_songs = run.n_songs()["test"]
    answer = kept_json(path, _ANSWER, lambda kept: {len(of) for of in kept["correct"].values() if of} == {n_songs})
    if answer is not None:
        return answer
    features = FeatureSets(run, mfccs)
    examples = examples_of(run, features)
    name, svm, log = choose(features.choices[RIVAL] if mfccs else [ALL_LAYERS], examples, grid, jobs)
    classes = run.corpora.corpus.classes
    songs = progress_bar(f"{variant.name}, seed {run.seed}, test songs", examples.test_songs, unit=" songs")
    of_svm = [str(vote(svm.predict(examples.of_song(song)[name]))) == classes[song.label] for song in songs]
    of_network = None
    if tuple(run.model.classes) == tuple(classes) and not mfccs:
        of_network = (run.test_predictions["true"] == run.test_predictions["predicted"]).tolist()
    answer = {"correct": {ALL_LAYERS: of_svm, NETWORK: of_network},
              "valid_error": None if mfccs or variant.networks else run.model.about["best_error"],
              "valid_accuracy": max(point["song_accuracy"] for point in log),
              "costs": dict.fromkeys(costs(run.model)) if mfccs else costs(run.model),
              "parts": [*run.parts, *features.parts, (f"SVMs, seed {run.seed}", versions())]}
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(answer, allow_nan=False))
    return answer


def chosen(answers):
    """Of one seed's answers that with the lowest validation frame error; its costs are those of all of them."""
    costs_of = {name: [answer["costs"][name] for answer in answers] for name in answers[0]["costs"]}
    together = {"epoch_seconds": lambda _: None, "best_seconds": sum, "training_bytes": max, "peak_bytes": max}
    best = min(answers, key=lambda answer: answer["valid_error"])
    return best | {"costs": {name: None if None in of else together[name](of) for name, of in costs_of.items()}}


def costs(model):
    """What the training of a :class:`dbn.trained.model.Model` took.

    Returns
    -------
    dict
        ``epoch_seconds``, the median of fine-tuning, or None without any; ``best_seconds`` of everything until the best
        epoch; ``training_bytes`` of the scaled frames of the stage that has more; ``peak_bytes`` of the process, or
        None where it is not known. The first epoch of a kind, which may wait for the compiler, counts as the median of
        the others.
    """
    about = model.about
    layers = {record["layer"] for record in model.history if record["stage"] == "pretrain"}
    pretrained = [_without_compiler([record["seconds"] for record in model.history if record.get("layer") == layer])
                  for layer in layers]
    tuned = _without_compiler([record["seconds"] for record in model.history if record["stage"] == "finetune"])
    return {"epoch_seconds": float(np.median(tuned)) if tuned else None,
            "best_seconds": about["seconds"]["scaling"] + sum(map(sum, [*pretrained, tuned[:about["best_epoch"]]])),
            "training_bytes": 4 * model.scaling.n_outputs * max(n_frames(model, stage) for stage in STAGES),
            "peak_bytes": about["peak_bytes"]}


def _without_compiler(seconds):
    return [float(np.median(seconds[1:])), *seconds[1:]] if seconds[1:] else seconds


def _correct(answers, measure):
    """For each seed a bool array [n_test]; an empty list where no song was labelled so."""
    return [np.array(answer["correct"][measure]) for answer in answers if answer["correct"][measure] is not None]


def _row(variant, answers, judge, is_tested=True, networks=None):
    """All of a row but Holm's corrections; its costs are means over the seeds.

    `networks` are the folders of each row's networks, of rows that are not chosen among others.
    """
    row, first = variant.name, next(iter(answers))
    against = variant.against if variant.against in answers else first
    shares_networks = networks is not None and row in networks and networks[row] == networks.get(against)
    entries = {}
    for measure, of_measure in MEASURES.items():
        correct, base = _correct(answers[row], measure), _correct(answers[against], measure)
        about = judge.row(row, correct) if correct else {"accuracy": None, "ci95": None}
        about.pop("paper", None)
        if measure == NETWORK:
            about = {"network_accuracy": about["accuracy"], "network_ci95": about["ci95"]}
        names = [f"{of_measure}{name}" for name in ("minus", "minus_ci95", "p", "p_resampled_t")]
        values = [None] * 4
        if row != first and correct and not (shares_networks and measure == NETWORK):
            p, _, resampled_t = judge.paired_test(correct, base) if is_tested else [None] * 3
            values = [*judge.difference(correct, base), p, resampled_t]
        entries |= about | dict(zip(names, values))
    entries["against"] = None if against == first else against
    for name in ("valid_error", "valid_accuracy", "gap"):
        entries[name] = _mean(answer[name] for answer in answers[row])
    for name in answers[row][0]["costs"]:
        entries[name] = _mean(answer["costs"][name] for answer in answers[row])
    return entries


def _mean(of_seeds):
    of_seeds = list(of_seeds)
    return None if None in of_seeds else float(np.mean(of_seeds))


def answer_text(rows, measure):
    """Sentences from the numbers: what is better or worse than its base row, what is quicker and not much worse.

    Rows that are compared with another one than the first stand apart, for they answer another question. A
    difference counts whose p, corrected by Holm, is below 0.05. Not much worse is what the whole interval says. An
    empty text where no row is tested.
    """
    of = MEASURES[measure]
    first, *others = (row for row in rows if row[f"{of}accuracy"] is not None)
    tested = [row for row in others if row[f"{of}p_holm"] is not None]
    if not tested:
        return ""
    what = "All Layers under Table 3's SVM" if measure == ALL_LAYERS else "The network alone"
    groups = {"each against the row that is named": [row for row in tested if row["against"]],
              f"against “{first['name']}”": [row for row in tested if not row["against"]]}
    verdicts = [f"{base}: {_verdicts(group, of)}" for base, group in groups.items() if group]
    text = f"{what}, {'. Others, '.join(verdicts)}."
    cheap = [row for row in others if not row["against"] and row["best_seconds"] is not None
             and row["best_seconds"] < first["best_seconds"]
             and row[f"{of}minus_ci95"] is not None and row[f"{of}minus_ci95"][0] >= -MARGIN]
    if cheap:
        cheapest = min(cheap, key=lambda row: row["best_seconds"])
        text += (f" The quickest whose interval excludes a loss of more than {100 * MARGIN:g} points is "
                 f"“{cheapest['name']}”, at its best epoch after {cheapest['best_seconds']:.3g} s for "
                 f"{first['best_seconds']:.3g} s.")
    return text


def _verdicts(rows, of):
    better, worse = ([row for row in rows if row[f"{of}p_holm"] < 0.05 and sign * row[f"{of}minus"] > 0]
                     for sign in (1, -1))
    unclear = [row for row in rows if row not in better and row not in worse]
    verdicts = {"better": better, "worse": worse, "no difference seen": unclear}
    return "; ".join(f"{verdict}: {_named(group, of)}" for verdict, group in verdicts.items() if group)


def _named(rows, of):
    if len(rows) > N_NAMED:
        lowest, *_, highest = sorted(rows, key=lambda row: row[f"{of}minus"])
        return f"{len(rows)} rows, from {_named([lowest], of)} to {_named([highest], of)}"
    return ", ".join(f"{row['name']} ({_difference_text(row, of)})" for row in rows)


def _difference_text(row, of):
    if row[f"{of}minus"] is None:
        return ""
    bounds = row[f"{of}minus_ci95"]
    interval = "" if bounds is None else f" [{bounds[0]:+.3f}, {bounds[1]:+.3f}]"
    return f"{row[f'{of}minus']:+.3f}{interval}"


def _markdown(result):
    has_others = any(row["against"] for row in result["rows"])
    header = ["", *(["compared with"] if has_others else []), "All Layers", "difference", "Holm", "network",
              "difference", "Holm", "valid. songs", "frame error", "gap, nats", "s an epoch", "s to the best",
              "frames, MB", "peak, MB"]
    rows = [[row["name"], *([row["against"] or ""] if has_others else []), interval_text(row),
             _difference_text(row, ""), p_text(row["p_holm"]),
             _number(row["network_accuracy"], digits=".3f"), _difference_text(row, "network_"),
             p_text(row["network_p_holm"]), _number(row["valid_accuracy"], digits=".3f"),
             _number(row["valid_error"], digits=".3f"),
             _number(row["gap"], digits="+.2f"),
             *(_number(row[name]) for name in ("epoch_seconds", "best_seconds")),
             *(_number(row[name], 1e6) for name in ("training_bytes", "peak_bytes"))] for row in result["rows"]]
    tests = (f"p comes from flipping the signs of the differences of the {result['judged']['unit']}"
             if result["repeats"] > 1 else "p is McNemar's exact test")
    base = "the first row, or the one that is named" if has_others else "the first row"
    return (f"{heading(result, result['question'])} A difference is that from {base}; {tests}, "
            "corrected by Holm for the number of rows that are tested. Of validation songs All Layers have "
            "that share right, of their frames the network has that error; the gap is that of free energies after the "
            "first layer's pre-training, validation less training frames. Seconds and bytes are of one training.\n\n"
            f"{markdown_table(header, rows)}\n\n" + "\n\n".join(result["answers"]))


def _number(value, unit=1, digits=".3g"):
    return "" if value is None else f"{value / unit:{digits}}"
