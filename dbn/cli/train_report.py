"""What ``dbn train`` says of the model that it has made, from what the model's file says of itself."""
from dbn.datasets.folder import printable


def report(model):
    """What came of the training, as text."""
    about = model.about
    lines = [f"recipe: {about['recipe']['name']}: {about['recipe']['about']}"]
    if about["recipe"]["tried"]:
        lines += [f"  {name}: {numbers['valid_accuracy']:.3f} of validation songs, {numbers['seconds']:.0f} s"
                  for name, numbers in about["recipe"]["tried"].items()]
    return "\n".join([*lines, *(_of_classes(model) if model.classes else _of_layers(model))])


def _of_layers(model):
    costs = {}
    for record in model.history:
        costs.setdefault(record["layer"], []).append(record["cost"])
    [(n_songs, *_)] = model.about["songs"].values()
    return [f"songs: {n_songs}, without labels",
            *(f"layer {layer}: {len(of_layer)} epochs of pre-training, cost {of_layer[0]:.3f} to {of_layer[-1]:.3f} "
              "(higher is better)" for layer, of_layer in costs.items()),
            "how good its features are no number here says: dbn extract gives them, a task of yours can tell"]


def _of_classes(model):
    from dbn.evaluation.stats import wilson_interval  # with SciPy's statistics, a second and 45 MB to import
    about, test = model.about, model.about["test"]
    width = max(len("songs"), *map(len, about["songs"]))
    epochs = sum(record["stage"] == "finetune" for record in model.history)
    low, high = wilson_interval(test["n_correct"], test["n_songs"])
    return [f"{'songs':{width}}  {'train':>5}  {'valid':>5}  {'test':>5}",
            *(f"{printable(label):{width}}  {train:5}  {valid:5}  {n_test:5}"
              for label, (train, valid, n_test) in about["songs"].items()),
            f"validation error: {about['best_error']:.3f} of frames (epoch {about['best_epoch']} of {epochs}; "
            f"stopped by {about['stopped']})",
            f"test songs right: {test['n_correct'] / test['n_songs']:.3f} ({test['n_correct']} of {test['n_songs']}; "
            f"95 % interval {low:.3f} to {high:.3f})",
            *_of_windows(test["windows"], test["n_songs"])]


def _of_windows(windows, n_songs):
    """The learned features beside MFCCs."""
    from dbn.evaluation.windows import LEARNED, MFCCS
    if "why_not" in windows:
        return [f"not compared with MFCCs: {windows['why_not']}"]
    learned, mfccs = windows[LEARNED], windows[MFCCS]
    lines = [f"by an SVM on windows of 5 s: its features {learned / n_songs:.3f} ({learned} of {n_songs}), MFCCs "
             f"{mfccs / n_songs:.3f} ({mfccs} of {n_songs}); p of McNemar's test {windows['p']:.2g}"]
    if mfccs > learned:
        lines.append("MFCCs label more of these songs right; --recipe auto may find better features than these")
    return lines
