"""``dbn classify``, ``tag``, ``info``, ``export`` and ``plot``: what is done with a trained model (§4.1, §5.2)."""
import json
import os
import sys
from contextlib import contextmanager, nullcontext
from itertools import tee
from pathlib import Path

import numpy as np

from dbn.audio.pooling import frame_rate
from dbn.cli.inputs import open_classifier, open_inputs, open_model, open_tagger
from dbn.cli.output import LabelWriter, TagWriter, as_lines, model_summary, tagger_summary
from dbn.cli.recordings import check_output, for_each, outputs, windows_of
from dbn.datasets.folder import printable
from dbn.errors import DBNError
from dbn.features.aggregate import WindowStatistics
from dbn.system.files import atomic_path, disk_errors
from dbn.trained.model import model_path
from dbn.trained.tagger import has_tags, load_tagger

# of a plot; more frames than this are averaged, so that an hour is drawn from as many numbers as a minute
_PLOT_COLUMNS = 2000


def run_classify(options):
    """``dbn classify``: the class with the highest mean of the frames' predictions (§4.1), for every recording."""
    model = open_classifier(options.model)
    if model.about.get("synthetic"):
        print(f"dbn: {options.model} learnt from synthetic clips, no music: its labels say little of recordings",
              file=sys.stderr)

    def probabilities(source, progress):
        total, n_frames = np.zeros(len(model.classes)), 0
        for rows in outputs(model, source.path, model.probability_blocks, progress):
            total += rows.sum(axis=0, dtype=np.float64)
            n_frames += len(rows)
        return total / n_frames, n_frames, _seconds(model, progress.n_frames)

    with open_inputs(options.files) as (inputs, problems):
        check_output(options.output, options, inputs)
        with _text_output(options.output) as file:
            writer = LabelWriter(file, model.classes, options.json, [source.name for source in inputs])

            def classify(source, progress):
                writer.write(source.name, *probabilities(source, progress))

            return for_each(inputs, problems, classify, "classify")


def run_tag(options):
    """``dbn tag``: the tags whose SVM's decision values have a positive mean over the windows (§5.2)."""
    tagger = open_tagger(options.model)
    if tagger.synthetic:
        print(f"dbn: note: {' and '.join(tagger.synthetic)} learnt from synthetic clips; what is said of real music "
              "means nothing", file=sys.stderr)

    def decision_values(source, progress):
        statistics = WindowStatistics(tagger.frame_rate, tagger.window_seconds, tagger.window_hop)
        total, n_windows = np.zeros(len(tagger.names)), 0
        for windows in windows_of(statistics, outputs(tagger.model, source.path, tagger.feature_blocks, progress)):
            total += tagger.decision_values(windows).sum(axis=0)
            n_windows += len(windows)
        return total / n_windows, n_windows, _seconds(tagger.model, progress.n_frames)

    with open_inputs(options.files) as (inputs, problems):
        check_output(options.output, options, inputs)
        with _text_output(options.output) as file:
            writer = TagWriter(file, tagger, options.json, [source.name for source in inputs], options.min_accuracy)

            def tag(source, progress):
                writer.write(source.name, *decision_values(source, progress))

            return for_each(inputs, problems, tag, "tag")


def run_info(options):
    """``dbn info``: a model's layers, classes, frames and training; a tagger's tags too."""
    summary = model_summary(open_model(options.model))
    path = model_path(options.model)
    if has_tags(path):
        summary |= tagger_summary(load_tagger(path))
    print(json.dumps(summary) if options.json else "\n".join(as_lines(summary)))
    return 0


def run_export(options):
    """``dbn export``: the network as ONNX, and a description beside it."""
    from dbn.trained.export import export_onnx
    model, output = open_model(options.model), Path(options.output)
    check_output(output, options, [])  # a folder such as "." has no name to put another suffix to
    check_output(output.with_suffix(".json"), options, [])
    beside = export_onnx(model, output, Path(options.model).stem)
    print(f"{printable(str(output))}\n{printable(str(beside))}")
    return 0


def run_plot(options):
    """``dbn plot``: a recording's activations and class probabilities over time."""
    from dbn.cli.plotting import check_format, save_plot  # with Matplotlib, which takes a second to import
    if os.path.isdir(options.file):
        raise DBNError(f"{options.file}: is a folder; a plot shows one recording")
    output = options.output or ("stdin" if options.file == "-" else Path(options.file).stem) + ".png"
    check_format(output)
    model = open_classifier(options.model)

    def everything(blocks):
        blocks, again = tee(blocks)
        return (np.hstack([*activations, probabilities]) for activations, probabilities
                in zip(model.activation_blocks(blocks), model.probability_blocks(again), strict=True))

    def plot(source, progress):
        rate = frame_rate(model.frame_settings)
        group = max(1, int(progress.length(source) * rate / _PLOT_COLUMNS))  # frames averaged
        seconds = group / rate
        statistics = WindowStatistics(rate, seconds, seconds)
        rows = np.concatenate(list(windows_of(statistics, outputs(model, source.path, everything, progress))))
        means = rows[:, :rows.shape[1] // 2]
        with disk_errors(output):
            save_plot(output, means, model, seconds, printable(source.name))

    with open_inputs([options.file]) as (inputs, problems):
        check_output(output, options, inputs)
        status = for_each(inputs, problems, plot, "plot")
    if status == 0:
        print(printable(output))
    return status


def _seconds(model, n_frames):
    """From the first frame's start to the last one's end; the frames are counted before any pooling."""
    settings = model.frame_settings
    return ((n_frames - 1) * settings["hop_length"] + settings["frame_length"]) / settings["sample_rate"]


def _text_output(path):
    """Standard output, or a text file that gets its name when it is complete."""
    return nullcontext(sys.stdout) if path is None else _whole_text_file(path)


@contextmanager
def _whole_text_file(path):
    with disk_errors(path), atomic_path(path) as temporary, open(temporary, "w", encoding="utf-8") as file:
        yield file
