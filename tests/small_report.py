"""Results as the scripts write them, made up, and the page that the report makes of them."""
import json
import struct
import zlib
from html.parser import HTMLParser

from experiments import report


def _chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


# six grey dots in two rows, written from the PNG specification
PNG = (b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", struct.pack(">IIBBBBB", 3, 2, 8, 0, 0, 0, 0))
       + _chunk(b"IDAT", zlib.compress(b"\0\x10\x20\x30\0\x40\x50\x60")) + _chunk(b"IEND", b""))
HOSTILE = "<script>alert('x')</script>&amp;\"'"
VOID = {"meta", "img", "br", "hr", "link", "input"}

SONGS = {"root": "/music/my songs", "key": "5e" * 32, "labels": "classes"}
CLIPS = {"root": "/clips", "key": "c1" * 32, "labels": "tags"}


class Page(HTMLParser):
    """The tables (lists of rows of cell texts), tags with their attributes and text; unbalanced tags fail."""

    def __init__(self, path):
        super().__init__(convert_charrefs=True)
        self.source = path.read_text(encoding="utf-8")
        self.open, self.tags, self.tables, self.text, self.ids = [], [], [], "", []
        self.feed(self.source)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        self.tags.append((tag, attributes))
        self.ids += [attributes["id"]] if "id" in attributes else []
        if tag not in VOID:
            self.open.append(tag)
        if tag == "table":
            self.tables.append([])
        elif tag == "tr":
            self.tables[-1].append([])
        elif tag in ("th", "td"):
            self.tables[-1][-1].append("")

    def handle_endtag(self, tag):
        assert self.open and self.open.pop() == tag

    def handle_data(self, data):
        if "style" in self.open:
            return
        self.text += data
        if "td" in self.open or "th" in self.open:
            self.tables[-1][-1][-1] += data

    def row(self, name, column="ours"):
        """Cells of the row with this name, by column, of the first table that has such a column."""
        for header, *rows in self.tables:
            for cells in rows:
                if cells[0] == name and column in header:
                    return dict(zip(header, cells))
        raise AssertionError(f"no row {name} with {column}")

    def of(self, tag):
        return [attributes for name, attributes in self.tags if name == tag]


def table(name, rows, dataset="gtzan", **changes):
    """What a script writes, made up."""
    arguments = f"--dataset {dataset} --root 'my music' --profile paper --seed 3 --repeats 2 --n-mfcc 13"
    return {"table": name, "dataset": dataset, "profile": "paper", "seed": 3, "repeats": 2,
            "n_songs": {"train": 500, "valid": 200, "test": 299}, "rows": rows,
            "settings": {"window": None, "n_mfcc": 13, "f_max": 11025.0, "frame_C": [1.0, 10.0], "split": "class",
                         "training": {"batch_size": 20, "patience": 75, "hidden_layers_sizes": [50, 50, 50]}},
            "seconds": {"frames": 61.0, f"{name} step": 7323.0},
            "made_with": {"python": "3.11.7", "pytensor": "3.0.7"}, "corpus": dict(SONGS),
            "skipped": [{"file": "jazz.00054.wav", "why": "damaged"}], "warnings": [],
            "command": f"python -m experiments.{name} {arguments}", "made": "2026-11-22T18:24:46+00:00",
            "machine": {"cpu": "A CPU", "cores": 7, "system": "Linux"}} | changes


def accuracies(names):
    return [{"name": name, "accuracy": 0.41237 + i / 100, "ci95": [0.35149 + i / 100, 0.47881 + i / 100],
             "ci95_method": "bootstrap over songs", "n_test": 598, "n_songs": 510,
             "paper": 0.63 + i / 100, "p_vs_mfcc": 0.0123 * i or None, "p_vs_mfcc_holm": 0.0321 * i or None,
             "p_vs_mfcc_method": "sign flips over songs", "p_resampled_t": 0.0456 * i or None,
             "accuracies": [0.40191, 0.42283],
             "recall": {"blues": 0.123 + i / 10, HOSTILE: 0.456}, "C": [1.0, 10.0], "gamma": [0.05, 0.00075]}
            for i, name in enumerate(names)]


TABLE1 = [{"name": "Number of hidden layers", "value": 3, "paper": 3},
          {"name": "Units per layer", "value": "50", "paper": 50},
          {"name": "Classification accuracy", "accuracy": 0.70117, "ci95": [0.6512, 0.7449], "n_test": 598,
           "n_songs": 510, "paper": 0.737},
          {"name": "Training frames", "value": 645500.0, "paper": None},
          {"name": "Frames a second", "value": None, "paper": None}]
ROWS = ["MFCCs", "Layer 1", "Layer 2", "Layer 3", "All Layers"]


def write(folder, *results, pictures=()):
    """Write results and pictures into a folder; gives the page made of them."""
    for result in results:
        (folder / f"{result['table']}.json").write_text(json.dumps(result))
    for name in pictures:
        (folder / name).write_bytes(PNG)
    report.main(["--out", str(folder)])
    return Page(folder / "report.html")
