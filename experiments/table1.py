"""Table 1: hyper-parameters and training statistics of the deep belief network, and its song accuracy (§4.1)."""
import numpy as np

from experiments import paper
from experiments.steps import pictures
from experiments.steps.judging import Judge, interval_text
from experiments.steps.options import parse, run_script
from experiments.steps.pipeline import n_frames, prepared_runs
from experiments.steps.reporting import heading, markdown_table, table_result, units_text, value_text, write_table

TITLE = "Table 1: the network"


def main(argv=None):
    """Train the network of every seed, label the test songs, write and print the table."""
    options = parse(__doc__, argv)
    print(f"{TITLE}: {options.dataset}, profile {options.profile_name}; results go to {options.out}", flush=True)
    corpora, runs = prepared_runs(options)
    for run in runs:
        predictions = run.test_predictions
        share = np.mean(predictions["true"] == predictions["predicted"])
        print(f"seed {run.seed}: {share:.3f} of {len(predictions['true'])} test songs", flush=True)
    result = summary(options, corpora, runs)
    write_table(options.out, result, as_markdown(result))
    draw(options, corpora, runs)


def summary(options, corpora, runs):
    """The table as a dict, see :func:`experiments.steps.reporting.result_of`.

    With several runs the accuracy is that of all their decisions; what else differs between them is a mean over them.
    """
    models = [run.model for run in runs]
    judge = Judge.of_runs(runs)
    correct = [run.test_predictions["true"] == run.test_predictions["predicted"] for run in runs]
    training = corpora.profile.training
    epochs = [max([record["epoch"] for record in model.history if record["stage"] == "finetune"], default=0)
              for model in models]
    seconds = {stage: float(np.mean([model.about["seconds"][stage] for model in models]))
               for stage in ("scaling", "pretrain", "finetune")}
    frames = [model.about["n_frames"]["train"] for model in models]
    values = {
        "Number of hidden layers": len(training.hidden_layers_sizes),
        "Units per layer": units_text(training.hidden_layers_sizes),
        "Unsupervised learning rate": training.pretrain_lr,
        "Supervised learning rate": training.finetune_lr,
        "Number of unsupervised epochs": training.pretrain_epochs,
        "Number of supervised epochs": float(np.mean(epochs)),
        "Total training time (hours)": sum(seconds.values()) / 3600,
    }
    rows = [{"name": name, "value": value, "paper": paper.TABLE1[name]} for name, value in values.items()]
    name = "Classification accuracy"
    rows.append(judge.row(name, correct, paper.TABLE1[name]))
    wrong = sum(run.test_predictions["frame_errors"] for run in runs)
    n_test_frames = sum(run.test_predictions["n_frames"] for run in runs)
    best_epochs = [model.about["best_epoch"] for model in models]
    extra = {
        "Epoch of the best validation error": float(np.mean(best_epochs)),
        "Frame accuracy, validation": 1 - float(np.mean([model.about["best_error"] for model in models])),
        "Frame accuracy, test": 1 - wrong / n_test_frames,
        "Training frames": float(np.mean(frames)),
        "Frames a second, pre-training layer 1": _rate(models, stage="pretrain", layer=1),
        "Frames a second, fine-tuning": _rate(models, stage="finetune"),
    }
    rows += [{"name": name, "value": value, "paper": None} for name, value in extra.items()]
    if len(runs) > 1:
        rows += [Judge.of_runs([run]).row(f"{name}, seed {run.seed}", [of_run]) for run, of_run in zip(runs, correct)]
    parts = [part for run in runs for part in run.parts]
    result = table_result("table1", options, corpora, runs, rows, corpora.seconds() | seconds, parts)
    return result | judge.as_json({name: correct}) | {"stopped": [model.about["stopped"] for model in models]}


def _rate(models, **which):
    """Frames a second at the median of the epochs after the first, which waits for the compiler; None without any."""
    rates = []
    for model in models:
        seconds = [record["seconds"] for record in model.history if which.items() <= record.items()][1:]
        if seconds:
            rates.append(n_frames(model, which["stage"]) / np.median(seconds))
    return float(np.mean(rates)) if rates else None


def as_markdown(result):
    """The table with the paper's column beside ours."""
    rows = []
    for row in result["rows"]:
        ours = f"{interval_text(row)}, {_decided_text(row)}" if "ci95" in row else value_text(row["value"])
        rows.append([row["name"], ours, "" if row["paper"] is None else row["paper"]])
    once = (" The search looked at training and validation songs alone; the test songs are scored here, once."
            if result["winner_of_search"] else "")
    means = (" Rows of one seed have Wilson's interval; other values are means over the seeds."
             if result["repeats"] > 1 else "")
    return f"{heading(result, TITLE)}{means}{once}\n\n{markdown_table(['', 'ours', 'paper (GTZAN)'], rows)}"


def _decided_text(row):
    once = row["n_test"] == row["n_songs"]
    return f"{row['n_songs']} songs" if once else f"{row['n_test']} decisions on {row['n_songs']} songs"


def draw(options, corpora, runs):
    """Confusion matrix of the pooled test songs, learning curves of the first seed."""
    true = np.concatenate([run.test_predictions["true"] for run in runs])
    predicted = np.concatenate([run.test_predictions["predicted"] for run in runs])
    pictures.confusion_matrix(options.out / "table1-confusion", true, predicted, corpora.corpus.classes,
                              f"Test songs by the network alone, {options.dataset}")
    model = runs[0].model
    pictures.learning_curves(options.out / "table1-learning", model.history, model.about["best_epoch"],
                             f"{options.dataset}, seed {runs[0].seed}")


if __name__ == "__main__":
    run_script(main)
