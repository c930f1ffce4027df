"""Table 4: autotagging with the DBN's and with the MIM features, mean accuracy over the tags (§5.2)."""
import math

from dbn.evaluation.autotag import compare_tags, difference_interval
from experiments import paper
from experiments.steps.judging import p_text, with_holm
from experiments.steps.options import run_script
from experiments.steps.reporting import corpus_name, markdown_table, network_text, write_table
from experiments.tagging.experiment import as_result, parse_tagging, run_experiment, tags_and_groups
from experiments.tagging.features import MIM, ROWS
from experiments.tagging.keep import keep_tagger

TITLE = "Table 4: autotagging"
OUR_OWN = "not in the paper"


def main(argv=None):
    """Make the table, write and print it; then leave the SVMs for ``dbn tag``."""
    options = parse_tagging(__doc__, argv)
    print(f"{TITLE}: {options.dataset}, profile {options.profile_name}; results go to {options.out}", flush=True)
    experiment = run_experiment(options)
    result = summary(experiment)
    write_table(options.out, result, as_markdown(result))
    print(f"written: {keep_tagger(experiment)}, for dbn tag")


def summary(experiment):
    """The table as JSON takes it.

    Parameters
    ----------
    experiment : experiments.tagging.experiment.Experiment
        What was measured.

    Returns
    -------
    dict
        See :func:`experiments.tagging.experiment.as_result`, and ``tags`` (by name: clips with the tag, number and ids
        of the test clips, of each row its accuracy in each fold, and a text with a 1 for each test clip that it
        labelled right, else a 0) and ``artists`` (of every used clip, by its id: what is resampled for the intervals).
    """
    clips, results = experiment.clips, experiment.results
    groups = tags_and_groups(clips)[1]
    rows = with_holm([_row(name, results[name], results[MIM], groups) for name in ROWS], "wilcoxon_p_vs_mim",
                     "wilcoxon_p_vs_mim_holm")
    ids = [clips.corpus.clips[number].id for number in clips.used]
    tags = {score.name: {"clips": score.n_positive, "n_test": score.n_test,
                         "folds": {name: results[name].scores[i].fold_accuracies for name in ROWS},
                         "test_clips": [ids[clip] for clip in score.clips],
                         "correct": {name: "".join("01"[right] for right in results[name].scores[i].correct)
                                     for name in ROWS}}
            for i, score in enumerate(results[MIM].scores)}
    return as_result("table4", experiment, rows) | {"tags": tags, "artists": dict(zip(ids, groups))}


def _row(name, result, mim, groups):
    accuracy, error = paper.TABLE4.get(name, (None, None))
    return {"name": name, "accuracy": result.mean,
            "standard_error": None if math.isnan(result.standard_error) else result.standard_error,
            "n_tags": len(result.scores), "paper": accuracy, "paper_standard_error": error,
            **_against_mim(name, result, mim, groups),
            "note": None if name in paper.TABLE4 else OUR_OWN,
            "tags": {score.name: score.accuracy for score in result.scores}}


def _against_mim(name, result, mim, groups):
    if name == MIM:
        return dict.fromkeys(("difference_vs_mim", "difference_ci95", "difference_ci95_method", "wilcoxon_p_vs_mim"))
    interval = difference_interval(result, mim, groups)
    return {"difference_vs_mim": result.mean - mim.mean, "difference_ci95": interval and list(interval),
            "difference_ci95_method": f"bootstrap over {_unit(groups)}", "wilcoxon_p_vs_mim": compare_tags(result, mim)}


def _unit(groups):
    return "artists" if any(groups) else "clips"


def as_markdown(result):
    """The table with the paper's column beside ours, the accuracy of every tag, and what they rest on."""
    rows = [[row["name"] + (" *" if row["note"] else ""), _with_error(row["accuracy"], row["standard_error"], 3),
             _difference_text(row), p_text(row["wilcoxon_p_vs_mim"]), p_text(row["wilcoxon_p_vs_mim_holm"]),
             "" if row["paper"] is None else _with_error(row["paper"], row["paper_standard_error"], 2)]
            for row in result["rows"]]
    summary = markdown_table(["", "ours", "minus MIM", "p against MIM", "Holm", "paper (MajorMiner)"], rows)
    tags = sorted(result["tags"], key=lambda tag: -result["rows"][0]["tags"][tag])
    each = markdown_table(["tag", "clips", *(row["name"] for row in result["rows"])],
                          [[tag, result["tags"][tag]["clips"], *(f"{row['tags'][tag]:.3f}" for row in result["rows"])]
                           for tag in tags])
    return (f"{_heading(result)}\n\n{summary}\n\n\\* {OUR_OWN}: our own rows. MajorMiner's authors reported "
            f"{paper.MAJORMINER_AUTHORS:.1%} on 25 tags of their own choice.\n\n{each}{_remarks(result)}")


def _with_error(value, error, decimals):
    return f"{value:.{decimals}f}" + ("" if error is None else f" ± {error:.{decimals}f}")


def _difference_text(row):
    if row["difference_vs_mim"] is None:
        return ""
    interval = row["difference_ci95"]
    bounds = "" if interval is None else f" [{interval[0]:+.3f}, {interval[1]:+.3f}]"
    return f"{row['difference_vs_mim']:+.3f}{bounds}"


def _heading(result):
    n_clips, corpus = result["n_clips"], corpus_name(result["dataset"])
    folds = "by artist or album" if any(result["artists"].values()) else "by clip, as all artists are unknown"
    return (f"## {TITLE}; {corpus}, profile {result['profile']}\n\n"
            f"{n_clips['used']} clips, {len(result['tags'])} tags, {result['settings']['tag_folds']} folds {folds}; "
            f"seed {result['seed']}. The network was trained on genres ({corpus_name(result['network']['dataset'])}) "
            f"and learnt nothing from tags.{network_text(result)} {' '.join(result['remarks'])}\n\n"
            f"Mean accuracy over the tags ± its standard error; chance is 0.5. Minus MIM: the difference on the same "
            f"clips, with a 95 % interval by a bootstrap over {_unit(result['artists'].values())}. p is Wilcoxon's "
            "signed-rank test over the tags, Holm p corrected for the number of rows that are tested; tags share "
            "clips, which the test does not know and the interval does.")


def _remarks(result):
    """What is missing: tags that could not be evaluated, clips without audio."""
    remarks = []
    if result["left_out"]:
        remarks.append(f"Left out, {len(result['left_out'])} tag(s): " + "; ".join(
            f"{entry['tag']} ({entry['why']})" for entry in result["left_out"]) + ".")
    if result["missing"]:
        remarks.append(f"Without audio: {len(result['missing'])} of {result['n_clips']['listed']} clips, "
                       f"{', '.join(result['missing'][:5])}{' ...' if len(result['missing']) > 5 else ''} (all of them "
                       "are named in table4.json).")
    return "".join(f"\n\n{remark}" for remark in remarks)


if __name__ == "__main__":
    run_script(main)
