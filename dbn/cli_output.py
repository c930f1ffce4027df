"""What a command writes: progress, complaints, one line a file, and a model in words."""
import json
import os
import sys

from tqdm import tqdm

from dbn.audio import expected_length
from dbn.datasets.folder import printable


def decodable(text):
    r"""`text` with the bytes that were not UTF-8 as ``\xff``; other characters, line breaks too, stay."""
    return os.fsencode(text).decode("utf-8", "backslashreplace")


class Progress:
    """A bar over the seconds of audio, on standard error if that is a terminal, and the complaints beside it.

    Parameters
    ----------
    inputs : list of dbn.cli_input.AudioInput
    description : str
        Stands before the bar.

    Attributes
    ----------
    n_failed : int
        Files complained of.
    """

    def __init__(self, inputs, description):
        self.n_failed = 0
        self._lengths = {source.path: expected_length(source.path, 1) for source in inputs}
        self._done = 0
        self._bar = tqdm(total=sum(self._lengths.values()), desc=description, disable=None, leave=False,
                         bar_format="{desc}: {percentage:3.0f}%|{bar}| {n:.0f}/{total:.0f} s of audio "
                                    "[{elapsed}<{remaining}]")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._bar.close()

    def length(self, source):
        """Whole seconds that a file's header promises; 0 if it is refused already."""
        return self._lengths[source.path]

    def advance(self, seconds):
        """So much of the file at hand is done."""
        self._bar.update(seconds)

    def end_file(self, source):
        """A file is done with, whether it was read to its end or not."""
        self._done += self._lengths[source.path]
        self._bar.update(self._done - self._bar.n)

    def complain(self, error):
        """Name a bad file, given its :class:`dbn.errors.AudioError`, on standard error and count it."""
        self.n_failed += 1
        tqdm.write(f"dbn: {printable(error.path)}: {error.reason}", file=sys.stderr)


class LabelWriter:
    """Labels, one line a file as soon as it is known: JSON, aligned columns on a terminal, else between tabs.

    Parameters
    ----------
    file : text file
    classes : sequence of str
    as_json : bool
    names : list of str
        Of all files, for the width of the first column.
    """

    def __init__(self, file, classes, as_json, names):
        self.file, self.classes, self.as_json = file, classes, as_json
        self._widths = [max(map(len, map(printable, texts)), default=0) for texts in (names, classes)]

    def write(self, name, probabilities, n_frames, seconds):
        """Write one file's line; the class of highest mean probability, float64 [n_classes], is its label."""
        best = int(probabilities.argmax())
        if self.as_json:
            line = json.dumps({"file": decodable(name), "label": self.classes[best],
                               "probabilities": {label: round(float(value), 6)
                                                 for label, value in zip(self.classes, probabilities)},
                               "n_frames": n_frames, "seconds": round(seconds, 3)})
        else:
            columns = [printable(name), printable(self.classes[best])]
            if self.file.isatty():
                columns = [column.ljust(width) for column, width in zip(columns, self._widths)]
            line = ("  " if self.file.isatty() else "\t").join([*columns, f"{probabilities[best]:.3f}"])
        tqdm.write(line, file=self.file)
        self.file.flush()


def model_summary(model):
    """What a model is: a dict of what JSON can hold, in the order to show it."""
    layers = [len(model.scaling.gain), *(len(bias) for bias in model.biases)]
    return {"layers": layers,
            "parameters": sum(array.size for array in (*model.weights, *model.biases)),
            "classes": list(model.classes),
            "visible": model.visible,
            "output": model.output,
            "scaling": model.scaling.kind,
            "frames": model.frame_settings,
            "epochs": {stage: sum(isinstance(record, dict) and record.get("stage") == stage for record in model.history)
                       for stage in ("pretrain", "finetune")},
            "about": model.about}


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
