"""``dbn classify``, ``tag``, ``extract``, ``info`` and ``plot``: what is done with a trained model (§4.1, §5.1)."""
import json
import os
import sys
from contextlib import contextmanager, nullcontext
from pathlib import Path

import numpy as np

from dbn.audio.pooling import frame_rate, pooled_frames
from dbn.audio.streaming import stream_magnitudes
from dbn.cli.feature_file import feature_file
from dbn.cli.inputs import open_classifier, open_inputs, open_model, open_tagger
from dbn.cli.output import LabelWriter, Progress, TagWriter, as_lines, model_summary, tagger_summary
from dbn.datasets.folder import printable
from dbn.errors import AudioError, DBNError
from dbn.features.aggregate import WindowStatistics
from dbn.system.blas import one_blas_thread
from dbn.system.files import atomic_path, disk_errors
from dbn.system.standard_streams import is_standard_stream
from dbn.trained.forward import require_finite
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
        for rows in _outputs(model, source, progress, model.predict_proba):
            total += rows.sum(axis=0, dtype=np.float64)
            n_frames += len(rows)
        return total / n_frames, n_frames, _seconds(model, n_frames)

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
        for windows in _windows(statistics, _outputs(tagger.model, source, progress, tagger.frame_features)):
            total += tagger.decision_values(windows).sum(axis=0)
            n_windows += len(windows)
        return total / n_windows, n_windows, _seconds(tagger.model, statistics.n_rows)

    with open_inputs(options.files) as (inputs, problems):
        check_output(options.output, options, inputs)
        with _text_output(options.output) as file:
            writer = TagWriter(file, tagger, options.json, [source.name for source in inputs], options.min_accuracy)

            def tag(source, progress):
                writer.write(source.name, *decision_values(source, progress))

            return for_each(inputs, problems, tag, "tag")


def run_extract(options):
    """``dbn extract``: chosen layers' activations (§4.1), a frame a row or their statistics over windows (§5.1.2)."""
    model = open_model(options.model)
    layers = _chosen_layers(options.layers, model.n_layers)
    columns = [f"layer{layer}_unit{unit}" for layer in layers for unit in range(len(model.biases[layer - 1]))]
    if options.window is not None:
        columns = [f"{column}_{statistic}" for statistic in ("mean", "variance") for column in columns]
    elif options.hop is not None:
        raise DBNError("--hop is from one window to the next; give --window too")

    def features(frames):
        activations = model.activations(frames)
        return np.hstack([activations[layer - 1] for layer in layers])

    def extract(source, progress):
        output.begin(printable(source.name))
        try:
            blocks = _outputs(model, source, progress, features)
            for times, rows in _timed_rows(model, blocks, options):
                output.add(times, rows)
        except AudioError:
            output.abandon()
            raise
        output.end()

    with open_inputs(options.files) as (inputs, problems), feature_file(options.output, columns) as output:
        check_output(options.output, options, inputs)
        status = for_each(inputs, problems, extract, "extract")
        if not output.names:
            print(f"dbn: {printable(options.output)}: not written, there are no features", file=sys.stderr)
            return status
        output.save()
        print(f"dbn: {printable(options.output)}: {output.n_rows} rows of {len(columns)} features, "
              f"{len(output.names)} file(s)", file=sys.stderr)
        return status


def run_info(options):
    """``dbn info``: a model's layers, classes, frames and training; a tagger's tags too."""
    summary = model_summary(open_model(options.model))
    path = model_path(options.model)
    if has_tags(path):
        summary |= tagger_summary(load_tagger(path))
    print(json.dumps(summary) if options.json else "\n".join(as_lines(summary)))
    return 0


def run_plot(options):
    """``dbn plot``: a recording's activations and class probabilities over time."""
    from dbn.cli.plotting import check_format, save_plot  # with Matplotlib, which takes a second to import
    if os.path.isdir(options.file):
        raise DBNError(f"{options.file}: is a folder; a plot shows one recording")
    output = options.output or ("stdin" if options.file == "-" else Path(options.file).stem) + ".png"
    check_format(output)
    model = open_classifier(options.model)

    def everything(frames):
        return np.hstack([*model.activations(frames), model.predict_proba(frames)])

    def plot(source, progress):
        rate = frame_rate(model.frame_settings)
        group = max(1, int(progress.length(source) * rate / _PLOT_COLUMNS))  # frames averaged
        seconds = group / rate
        statistics = WindowStatistics(rate, seconds, seconds)
        rows = np.concatenate(list(_windows(statistics, _outputs(model, source, progress, everything))))
        means = rows[:, :rows.shape[1] // 2]
        with disk_errors(output):
            save_plot(output, means, model, seconds, printable(source.name))

    with open_inputs([options.file]) as (inputs, problems):
        check_output(output, options, inputs)
        status = for_each(inputs, problems, plot, "plot")
    if status == 0:
        print(printable(output))
    return status


def for_each(inputs, problems, work, description):
    """Call `work(source, progress)` for each recording; the exit status: 0, or 1 if some could not be used."""
    # the products are too small for several threads: a second one doubles the processor's work and saves no time
    with Progress(inputs, description) as progress, one_blas_thread:
        for problem in problems:
            progress.complain(problem)
        for source in inputs:
            try:
                work(source, progress)
            except AudioError as error:
                progress.complain(AudioError(source.name, error.reason))
            progress.end_file(source)
    if progress.n_failed:
        print(f"dbn: {progress.n_failed} of {len(inputs) + len(problems)} files failed", file=sys.stderr)
    return 1 if progress.n_failed else 0


def _outputs(model, source, progress, compute):
    """What `compute` makes of a recording's frames, block by block: float32 [m, d]."""
    for frames in stream_magnitudes(source.path, **model.frame_settings):
        with np.errstate(over="ignore", invalid="ignore"):
            rows = compute(frames)
        require_finite(rows, source.name)
        yield rows
        progress.advance(len(rows) / frame_rate(model.frame_settings))


def _timed_rows(model, blocks, options):
    """Pairs (times in seconds, rows) of frames, or of windows where they are asked for."""
    hop = 1 / frame_rate(model.frame_settings)
    statistics = None
    if options.window is not None:
        window_hop = options.window / 2 if options.hop is None else options.hop
        statistics = WindowStatistics(frame_rate(model.frame_settings), options.window, window_hop)
        hop *= statistics.step
        blocks = _windows(statistics, blocks)
    n = 0
    for rows in blocks:
        yield np.arange(n, n + len(rows)) * hop, rows
        n += len(rows)


def _windows(statistics, blocks):
    for block in blocks:
        yield statistics.add(block)
    short = statistics.finish()
    if short is not None:
        yield short


def _seconds(model, n_frames):
    """From the first frame's start to the last one's end."""
    settings = model.frame_settings
    last = n_frames * pooled_frames(settings.get("pooling")) - 1
    return (last * settings["hop_length"] + settings["frame_length"]) / settings["sample_rate"]


def _chosen_layers(text, n_layers):
    """Numbers of layers, from 1, out of ``all`` or ``1,3``."""
    if text == "all":
        return list(range(1, n_layers + 1))
    try:
        layers = [int(part) for part in text.split(",")]
    except ValueError:
        layers = []
    if not layers or len(set(layers)) < len(layers) or not all(1 <= layer <= n_layers for layer in layers):
        raise DBNError(f"--layers is {text!r}: give all, or different numbers from 1 to {n_layers} with commas between")
    return layers


def check_output(path, options, inputs):
    """Refuse to write over the model, a recording, a folder, a device or what standard output is connected to."""
    if path is None or not os.path.exists(path):
        return
    if not os.path.isfile(path):
        raise DBNError(f"{path}: is a folder, a pipe or a device; give the name of a file")
    for read in (options.model, *(source.path for source in inputs)):
        if os.path.exists(read) and os.path.samefile(read, path):
            raise DBNError(f"{path}: is read by this command; write to another file")
    if is_standard_stream(path):
        raise DBNError(f"{path}: standard input, output or error of this command is connected to it; leave -o out, or "
                       "give another file")


def _text_output(path):
    """Standard output, or a text file that gets its name when it is complete."""
    return nullcontext(sys.stdout) if path is None else _whole_text_file(path)


@contextmanager
def _whole_text_file(path):
    with disk_errors(path), atomic_path(path) as temporary, open(temporary, "w", encoding="utf-8") as file:
        yield file
