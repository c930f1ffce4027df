"""What a command writes: progress, complaints, one line a file, and a model in words."""
import json
import os
import sys

import numpy as np
from tqdm import tqdm

from dbn.audio.reading import expected_length
from dbn.datasets.folder import printable
from dbn.errors import DBNError
from dbn.system.progress import progress_bar
from dbn.trained.model import Model


def decodable(text):
    r"""`text` with the bytes that were not UTF-8 as ``\xff``; other characters, line breaks too, stay."""
    return os.fsencode(text).decode("utf-8", "backslashreplace")


class Progress:
    """A bar over the seconds of audio, on standard error if that is a terminal, and the complaints beside it.

    Parameters
    ----------
    inputs : list of dbn.cli.inputs.AudioInput
    description : str
        Stands before the bar.

    Attributes
    ----------
    n_failed : int
        Files complained of.
    n_frames : int
        Frames of the file at hand that were read so far, before any pooling.
    """

    def __init__(self, inputs, description):
        self.n_failed = 0
        self._lengths = {source.path: expected_length(source.path, 1) for source in inputs}
        self._done = self.n_frames = 0
        self._bar = progress_bar(description, in_logs=False, total=sum(map(self.length, inputs)), leave=False,
                                 bar_format="{desc}: {percentage:3.0f}%|{bar}| {n:.0f}/{total:.0f} s of audio "
                                            "[{elapsed}<{remaining}]")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._bar.close()

    def length(self, source):
        """Whole seconds that a file's header promises; 0 if it is refused already."""
        return self._lengths[source.path]

    def advance(self, n_frames, frame_rate):
        """So many more frames of the file at hand are read, of so many a second."""
        self.n_frames += n_frames
        # a file may hold more than its header promises, and tqdm forgets a total that is passed
        self._bar.update(min(n_frames / frame_rate, self._bar.total - self._bar.n))

    def end_file(self, source):
        """A file is done with, whether it was read to its end or not."""
        self.n_frames = 0
        self._done += self._lengths[source.path]
        self._bar.update(self._done - self._bar.n)

    def complain(self, error):
        """Name a bad file, given its :class:`dbn.errors.AudioError`, on standard error and count it."""
        self.n_failed += 1
        tqdm.write(f"dbn: {printable(error.path)}: {error.reason}", file=sys.stderr)


class LineWriter:
    """One line a file as soon as it is known: JSON, or columns, aligned on a terminal and else between tabs.

    Parameters
    ----------
    file : text file
    as_json : bool
    columns : list of sequences of str
        All that may come in each of the first columns, for their widths on a terminal.
    """

    def __init__(self, file, as_json, columns):
        self.file, self.as_json = file, as_json
        self._widths = [max(map(len, map(printable, texts)), default=0) for texts in columns]

    def write_line(self, columns, record):
        """Write one file's line: `record`, a dict, in JSON; or `columns`, a list of str."""
        if self.as_json:
            line = json.dumps(record)
        else:
            columns = list(map(printable, columns))
            if self.file.isatty():
                columns = [column.ljust(width) for column, width in zip(columns, self._widths)
                           ] + columns[len(self._widths):]
            line = ("  " if self.file.isatty() else "\t").join(columns)
        tqdm.write(line, file=self.file)
        self.file.flush()


class LabelWriter(LineWriter):
    """The label of each file.

    Parameters
    ----------
    file, as_json
        As in :class:`LineWriter`.
    classes : sequence of str
    names : list of str
        Of all files.
    """

    def __init__(self, file, classes, as_json, names):
        super().__init__(file, as_json, [names, classes])
        self.classes = classes

    def write(self, name, probabilities, n_frames, seconds):
        """Write one file's line; the class of highest mean probability, float64 [n_classes], is its label."""
        best = int(probabilities.argmax())
        self.write_line([name, self.classes[best], f"{probabilities[best]:.3f}"],
                        {"file": decodable(name), "label": self.classes[best],
                         "probabilities": {label: round(float(value), 6)
                                           for label, value in zip(self.classes, probabilities)},
                         "n_frames": n_frames, "seconds": round(seconds, 3)})


class TagWriter(LineWriter):
    """The tags that hold for each file.

    Parameters
    ----------
    file, as_json
        As in :class:`LineWriter`.
    tagger : dbn.trained.tagger.Tagger
    names : list of str
        Of all files.
    min_accuracy : float
        Tags that were recognised in a smaller share of test clips are left out.

    Raises
    ------
    DBNError
        That leaves no tag.
    """

    def __init__(self, file, tagger, as_json, names, min_accuracy):
        super().__init__(file, as_json, [names])
        self.tagger = tagger
        accuracies = np.array([measure.accuracy for measure in tagger.measures])
        self._shown = np.flatnonzero(accuracies >= min_accuracy)
        if not self._shown.size:
            best = accuracies.argmax()
            raise DBNError(f"--min-accuracy {min_accuracy:g}: no tag is recognised so well; the best is "
                           f"{printable(tagger.names[best])} with {accuracies[best]:.3f}")

    def write(self, name, values, n_windows, seconds):
        """Write one file's line: the tags whose decision value in `values`, float64 [n_tags], is positive."""
        tagger = self.tagger
        order = sorted(self._shown, key=lambda tag: -values[tag])
        hold = [tag for tag in order if values[tag] > 0]
        self.write_line([name, *(f"{tagger.names[tag]} {values[tag]:.3f}" for tag in hold)],
                        {"file": decodable(name),
                         "tags": [{"tag": tagger.names[tag], "value": round(values[tag], 6),
                                   "accuracy": round(tagger.measures[tag].accuracy, 3)} for tag in hold],
                         "values": {tagger.names[tag]: round(values[tag], 6) for tag in order},
                         "n_windows": n_windows, "seconds": round(seconds, 3), "synthetic": tagger.synthetic})


def model_summary(model):
    """What a model is: a dict of what JSON can hold, in the order to show it."""
    layers = [model.scaling.n_outputs, *(len(bias) for bias in model.biases)]
    over_time = {} if isinstance(model, Model) else {"widths": list(model.widths), "pools": list(model.pools)}
    return {"layers": layers,
            **over_time,
            "parameters": sum(array.size for array in (*model.weights, *model.biases)),
            "classes": list(model.classes),
            "visible": model.visible,
            "output": model.output,
            "scaling": model.scaling.kind,
            "frames": model.frame_settings,
            "epochs": {stage: sum(isinstance(record, dict) and record.get("stage") == stage for record in model.history)
                       for stage in ("pretrain", "finetune")},
            "about": model.about}


def tagger_summary(tagger):
    """What a tagger has beside its network: a dict as that of :func:`model_summary`, the surest tags first."""
    measures = dict(sorted(zip(tagger.names, tagger.measures), key=lambda item: -item[1].accuracy))
    return {"tag_windows": {"seconds": tagger.window_seconds, "hop": tagger.window_hop},
            "tag_accuracy_is": "share of test clips right, cross-validated; chance is 0.5",
            "tag_accuracy": {name: round(measure.accuracy, 3) for name, measure in measures.items()},
            "tag_test_clips": {name: measure.n_test for name, measure in measures.items()},
            "tag_about": tagger.about,
            "synthetic": tagger.synthetic}


def as_lines(summary, indent=""):
    """A dict as indented lines of text, one a value."""
    lines = []
    for name, value in summary.items():
        if isinstance(value, dict) and value:
            lines += [f"{indent}{printable(name)}:", *as_lines(value, indent + "  ")]
        else:
            if isinstance(value, list) and all(isinstance(item, (str, int, float)) for item in value):
                value = ", ".join(map(str, value))
            lines.append(f"{indent}{printable(name)}: {printable(str(value))}")
    return lines
