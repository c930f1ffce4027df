"""Figure 3: accuracy of every tag with the DBN's and with the MIM features (§5.2)."""
import matplotlib.pyplot as plt
import numpy as np

from experiments.steps import pictures
from experiments.steps.options import run_script
from experiments.steps.reporting import corpus_name, markdown_table, network_text, write_table
from experiments.tagging.experiment import as_result, parse_tagging, run_experiment
from experiments.tagging.features import DBN, MIM

# of different lightness and hue: told apart by every kind of colour-blindness, and in grey (Okabe and Ito's scheme)
COLOURS = {DBN: "#0072B2", MIM: "#E69F00"}
BAR = 0.38  # thickness; a tag's two bars and the gap to the next one are 1


def main(argv=None):
    """Measure what Table 4 has not measured yet, and draw it."""
    options = parse_tagging(__doc__, argv)
    experiment = run_experiment(options)
    results = {name: experiment.results[name] for name in COLOURS}
    heading = title(options, len(experiment.clips.used))
    pictures.save(draw(results, heading), options.out / "figure3", formats=(".png", ".pdf"))
    result = as_result("figure3", experiment, as_rows(results))
    write_table(options.out, result, as_markdown(result, heading))


def as_rows(results):
    """The bars of :func:`draw` as numbers: a dict a tag, the tag that the DBN knows best first."""
    return [{"name": results[DBN].scores[i].name, "clips": results[DBN].scores[i].n_positive}
            | {name: [result.scores[i].accuracy, result.scores[i].fold_error] for name, result in results.items()}
            for i in reversed(order(results))]


def order(results):
    """Numbers of the tags, the one that the DBN knows best last."""
    return sorted(range(len(results[DBN].scores)), key=lambda i: results[DBN].scores[i].accuracy)


def as_markdown(result, heading):
    """The bars as a table."""
    cells = [[row["name"], row["clips"], *(f"{accuracy:.3f} ± {error:.3f}" for accuracy, error in
                                           (row[name] for name in COLOURS))] for row in result["rows"]]
    return (f"## Figure 3: {heading}\n\nAccuracy ± standard error over the folds; chance is 0.5.{network_text(result)}"
            f"\n\n{markdown_table(['tag', 'clips', *COLOURS], cells)}")


def title(options, n_clips):
    """What the picture shows, in one line that says so where the corpus is synthetic."""
    return (f"Autotagging: {n_clips:,} clips, {corpus_name(options.dataset)}, profile {options.profile_name}, "
            f"seed {options.seed}")


def draw(results, heading):
    """The picture: a pair of bars for every tag, the tag that the DBN knows best on top.

    Parameters
    ----------
    results : dict of str to dbn.evaluation.autotag.TagResults
        Of the DBN and of the MIM features, on the same tags.
    heading : str
        Stands above the bars.

    Returns
    -------
    matplotlib.figure.Figure
    """
    tags = order(results)
    places = np.arange(len(tags))
    figure, axes = plt.subplots(figsize=(6.4, 1.4 + 0.3 * len(tags)), layout="constrained")
    for (name, result), shift in zip(results.items(), (BAR / 2, -BAR / 2)):
        scores = [result.scores[i] for i in tags]
        axes.barh(places + shift, [score.accuracy for score in scores], BAR, color=COLOURS[name],
                  xerr=[score.fold_error for score in scores], error_kw={"elinewidth": 0.9, "ecolor": "black"},
                  label=_label(name, result))
    axes.axvline(0.5, color="black", linewidth=1, linestyle="--", label="chance")
    axes.set_yticks(places, [f"{score.name} ({score.n_positive})" for score in scores])
    axes.set(xlim=(0, 1), ylim=(-0.6, len(tags) - 0.4),
             xlabel="accuracy, standard error over the folds; in brackets: clips with the tag")
    axes.spines[["top", "right"]].set_visible(False)
    figure.legend(loc="outside lower center", ncols=3, frameon=False)
    figure.suptitle(heading, fontsize=10)
    return figure


def _label(name, result):
    error = "" if len(result.scores) == 1 else f" ± {result.standard_error:.3f}"
    return f"{name}, mean {result.mean:.3f}{error}"


if __name__ == "__main__":
    run_script(main)
