"""Table 4: autotagging with the DBN's and with the MIM features, mean accuracy over the tags (§5.2)."""
from dbn.evaluation.autotag import compare_tags
from dbn.training.fit import versions
from experiments import paper
from experiments.steps.options import run_script
from experiments.steps.reporting import corpus_name, markdown_table, network_text, result_of, write_table
from experiments.tagging.experiment import parse_tagging, run_experiment
from experiments.tagging.features import MIM, ROWS
from experiments.tagging.keep import keep_tagger

TITLE = "Table 4: autotagging"
OUR_OWN = "not in the paper"


def main(argv=None):
    """Make the table, write and print it; then leave the SVMs for ``dbn tag``."""
    options = parse_tagging(__doc__, argv)
    print(f"{TITLE}: {options.dataset}, profile {options.profile_name}; results go to {options.out}", flush=True)
    experiment = run_experiment(options)
    result = as_result(experiment)
    write_table(options.out, result, as_markdown(result))
    print(f"written: {keep_tagger(experiment)}, for dbn tag")


def as_result(experiment):
    """The table as JSON takes it.

    Parameters
    ----------
    experiment : experiments.tagging.experiment.Experiment
        What was measured.

    Returns
    -------
    dict
        The keys of every table, and ``tags`` (by name: clips with the tag, test clips, accuracies of each row and
        fold), ``left_out`` (tags that could not be evaluated), ``n_clips`` (listed, without audio, used, and of
        these, of unknown artists), ``missing`` (ids of clips without audio) and ``network``.
    """
    clips, results = experiment.clips, experiment.results
    corpus = clips.corpus
    rows = [_row(name, results[name], results[MIM]) for name in ROWS]
    lines = [(f"list of tags, line {line}", why) for line, why in corpus.skipped]
    result = result_of("table4", experiment.options, {"tagged clips": len(clips.used)}, rows, experiment.seconds,
                       versions(), [*clips.skipped, *lines])
    tags = {score.name: {"clips": score.n_positive, "n_test": score.n_test,
                         "folds": {name: results[name].scores[i].fold_accuracies for name in ROWS}}
            for i, score in enumerate(results[MIM].scores)}
    return result | {"tags": tags, "left_out": [{"tag": tag, "why": why} for tag, why in results[MIM].left_out],
                     "n_clips": {"listed": len(corpus.clips), "without audio": len(corpus.missing),
                                 "used": len(clips.used),
                                 "of unknown artists": sum(not corpus.clips[i].artist for i in clips.used)},
                     "missing": list(corpus.missing), "network": experiment.network}


def _row(name, result, mim):
    accuracy, error = paper.TABLE4.get(name, (None, None))
    return {"name": name, "accuracy": result.mean, "standard_error": result.standard_error,
            "n_tags": len(result.scores), "paper": accuracy, "paper_standard_error": error,
            "wilcoxon_p_vs_mim": None if name == MIM else compare_tags(result, mim),
            "note": None if name in paper.TABLE4 else OUR_OWN,
            "tags": {score.name: score.accuracy for score in result.scores}}


def as_markdown(result):
    """The table with the paper's column beside ours, the accuracy of every tag, and what they rest on."""
    rows = [[row["name"] + (" *" if row["note"] else ""), f"{row['accuracy']:.3f} ± {row['standard_error']:.3f}",
             "" if row["wilcoxon_p_vs_mim"] is None else f"{row['wilcoxon_p_vs_mim']:.2g}",
             "" if row["paper"] is None else f"{row['paper']:.2f} ± {row['paper_standard_error']:.2f}"]
            for row in result["rows"]]
    summary = markdown_table(["", "ours", "p against MIM", "paper (MajorMiner)"], rows)
    tags = sorted(result["tags"], key=lambda tag: -result["rows"][0]["tags"][tag])
    each = markdown_table(["tag", "clips", *(row["name"] for row in result["rows"])],
                          [[tag, result["tags"][tag]["clips"], *(f"{row['tags'][tag]:.3f}" for row in result["rows"])]
                           for tag in tags])
    return (f"{_heading(result)}\n\n{summary}\n\n\\* {OUR_OWN}: our own rows. MajorMiner's authors reported "
            f"{paper.MAJORMINER_AUTHORS:.1%} on 25 tags of their own choice.\n\n{each}{_remarks(result)}")


def _heading(result):
    n_clips, corpus = result["n_clips"], corpus_name(result["dataset"])
    folds = "by artist" if n_clips["of unknown artists"] < n_clips["used"] else "by clip, as all artists are unknown"
    return (f"## {TITLE}; {corpus}, profile {result['profile']}\n\n"
            f"{n_clips['used']} clips, {len(result['tags'])} tags, {result['settings']['tag_folds']} folds {folds}; "
            f"seed {result['seed']}. The network was trained on genres ({corpus_name(result['network']['dataset'])}) "
            f"and learnt nothing from tags.{network_text(result)} Mean accuracy over the tags ± its standard error; "
            "chance is 0.5. p is Wilcoxon's signed-rank test over the tags, on the same clips.")


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
