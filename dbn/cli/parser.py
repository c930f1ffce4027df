"""`dbn` on the command line: one sub-command for each thing to do with audio and a model.

A command is a function that adds its parser to the sub-parsers and sets ``run``, a function of the parsed options that
returns the exit status. Nothing here needs PyTensor; training imports it as it runs.

Exit status: 0; 1 if some files could not be used; 2 if the command could not do its work at all; 130 after Ctrl-C; 141
if the reader of its output went away, as for any program in a pipe.
"""
import argparse
import sys
import warnings

from dbn import __version__
from dbn.cli.commands import run_classify, run_export, run_info, run_plot, run_tag
from dbn.cli.explore import N_FRAMES, N_SONGS, run_explore
from dbn.cli.extract import add_extract_options, run_extract
from dbn.cli.options import output_name
from dbn.cli.train import add_train_parser
from dbn.cli.train_tags import add_train_tags_parser
from dbn.datasets.folder import printable
from dbn.errors import DBNError
from dbn.system.interrupts import hear_interrupts
from dbn.system.standard_streams import BROKEN_PIPE, drop_stdout, prepare_streams

_FILES = 'audio files (WAV, FLAC, AU, AIFF, OGG, MP3, ...), folders of them, or "-" for standard input'

_EPILOG = """\
examples:
  dbn train music/ -o model.npz                    a model from music/<class>/<file>
  dbn train-tags music/ --labels t.csv -o t.npz    a tagger of your own tags
  dbn classify model.npz song.flac albums/         one line a file: name, label, probability
  dbn tag tagger.npz song.flac albums/             one line a file: name, the tags that hold
  dbn extract model.npz albums/ -o features.npz    every layer's activations, frame by frame
  dbn info model.npz                               what the model is
  dbn export model.npz -o model.onnx               the model for programs that read ONNX
  dbn plot model.npz song.flac                     activations over time, as song.png
  dbn explore model.npz albums/ -o albums.html     a page to see and hear what the features make of music

"dbn COMMAND --help" tells more. Exit status: 0, or 1 if some files could not be used (they are named on
standard error), 2 for a wrong command line or model."""

_CLASSIFY = """\
examples:
  dbn classify model.npz song.flac albums/
  dbn classify model.npz albums/ | sort -t "$(printf '\\t')" -k 2
  dbn classify model.npz albums/ --json | jq -r 'select(.probabilities.jazz > 0.5).file'
  ffmpeg -v error -i video.mp4 -f wav - | dbn classify model.npz -

The label is the class with the highest mean of the frames' predictions. Each line holds the file, its label and that
class's mean, between tabs (aligned on a terminal). With --json each line is an object with "file", "label",
"probabilities" (of every class), "n_frames" (after pooling, where the model pools frames) and "seconds"."""

_TAG = """\
examples:
  dbn tag tagger.npz song.flac albums/
  dbn tag tagger.npz albums/ --min-accuracy 0.75
  dbn tag tagger.npz albums/ --json | jq -r 'select(.values.jazz > 0.5).file'
  ffmpeg -v error -i video.mp4 -f wav - | dbn tag tagger.npz -

TAGGER.npz is what dbn train-tags or Table 4 (make table4) leaves: a network and an SVM a tag. A tag holds where the
mean of its SVM's decision values over windows of 5 s is positive. Each line holds the file and then, between tabs, each
tag that holds with that mean, the largest first. With --json each line is an object with "file", "tags" (of those that
hold, "tag", "value" and "accuracy"), "values" (of every tag), "n_windows", "seconds" and "synthetic" (what learnt from
synthetic clips: "network", "tags"). The accuracy of a tag was measured by cross-validation on clips that were new to
its SVM, as many of them with the tag as without: 0.5 is chance. "dbn info TAGGER.npz" lists it for every tag."""

_EXTRACT = """\
examples:
  dbn extract model.npz albums/ -o features.npz
  dbn extract model.npz song.flac -o song.csv --layers 2
  dbn extract model.npz albums/ -o features.npz --window 5 --hop 2.5
  dbn extract model.npz albums/ -o features --one-file-each

features.npz, for numpy.load: names [n_files], starts and lengths [n_files] (each file's rows), times [n_rows] (start of
each row in seconds), columns [d], features float32 [n_rows, d]. A CSV has the columns file, time and then those.
features.npy holds the rows alone, for numpy.load(..., mmap_mode="r"), and features.json the rest. With --window the
columns are the d means, then the d variances, over each window. Until all is done the rows lie in OUT.work/, from which
the same command goes on after a kill."""

_INFO = """\
examples:
  dbn info model.npz
  dbn info model.npz --json | jq .classes"""

_EXPORT = """\
examples:
  dbn export model.npz -o model.onnx

The graph takes "frames", magnitudes of DFT frames float32 [n, bins], and gives "layer1", "layer2", ... and, where there
are classes, "probabilities". The package onnx must be installed: pip install "dbn[onnx]"."""

_PLOT = """\
examples:
  dbn plot model.npz song.flac
  dbn plot model.npz song.flac -o song.pdf"""

_EXPLORE = """\
examples:
  dbn explore model.npz genres/ -o genres.html
  dbn explore model.npz genres/ -o genres.html --embed --frames 500
  dbn explore synthetic-demo albums/ song.flac -o page.html

The page is one file and needs no network. It links to the recordings, from where it lies; --embed takes the sound that
it plays into it, about 6 kB a second. A recording's genre is the folder next below the one that was given, as
genres/jazz/; where there is none, the page shows the network's answer and says so. Of each recording the first ten
minutes are used. The same seed gives the same page."""


def build_parser():
    """The parser of all commands: an :class:`argparse.ArgumentParser`."""
    parser = argparse.ArgumentParser(
        prog="dbn", description="Learn features from music with a deep belief network, and use them.",
        epilog=_EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--version", action="version", version=f"dbn {__version__}")
    subparsers = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    add_train_parser(subparsers)
    add_train_tags_parser(subparsers)
    _add_classify_parser(subparsers)
    _add_tag_parser(subparsers)
    _add_extract_parser(subparsers)
    _add_info_parser(subparsers)
    _add_export_parser(subparsers)
    _add_plot_parser(subparsers)
    _add_explore_parser(subparsers)
    return parser


def _add_parser(subparsers, name, run, summary, epilog, metavar="MODEL",
                model="a model file (.npz) of dbn train or of the experiments"):
    parser = subparsers.add_parser(name, help=summary, description=f"{summary[0].upper()}{summary[1:]}.",
                                   epilog=epilog, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", metavar=metavar, help=model)
    parser.set_defaults(run=run)
    return parser


def _add_classify_parser(subparsers):
    parser = _add_parser(subparsers, "classify", run_classify, "tell the class of recordings", _CLASSIFY)
    _add_line_options(parser)


def _add_tag_parser(subparsers):
    parser = _add_parser(subparsers, "tag", run_tag, "tell the tags of recordings", _TAG, "TAGGER",
                         "a file (.npz) with a network and tags, of dbn train-tags or Table 4")
    _add_line_options(parser)
    parser.add_argument("--min-accuracy", type=_share, default=0.0, metavar="SHARE",
                        help="leave out tags that were recognised in a smaller share of test clips; chance is 0.5")


def _add_line_options(parser):
    """Of a command that writes one line a file."""
    parser.add_argument("files", nargs="+", metavar="FILE", help=_FILES)
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    parser.add_argument("-o", "--output", type=output_name, metavar="OUT",
                        help="write there instead of to standard output")


def _add_extract_parser(subparsers):
    parser = _add_parser(subparsers, "extract", run_extract, "compute the learned features of recordings", _EXTRACT)
    parser.add_argument("files", nargs="+", metavar="FILE", help=_FILES)
    add_extract_options(parser)


def _add_info_parser(subparsers):
    parser = _add_parser(subparsers, "info", run_info, "show a model's layers, classes, frames, training, tags", _INFO)
    parser.add_argument("--json", action="store_true", help="as one JSON object")


def _add_export_parser(subparsers):
    parser = _add_parser(subparsers, "export", run_export, "write a model as ONNX, for other programs", _EXPORT)
    parser.add_argument("-o", "--output", type=output_name, metavar="OUT.onnx", required=True,
                        help="the file to write; OUT.json beside it describes it")


def _add_plot_parser(subparsers):
    parser = _add_parser(subparsers, "plot", run_plot,
                         "draw a recording's activations and class probabilities over time", _PLOT)
    parser.add_argument("file", metavar="FILE", help='an audio file, or "-" for standard input')
    parser.add_argument("-o", "--output", type=output_name, metavar="OUT",
                        help="the picture to write: .png, .pdf or .svg; default: the recording's name with .png, here")


def _add_explore_parser(subparsers):
    parser = _add_parser(subparsers, "explore", run_explore,
                         "make a page to explore: frames in the plane of their features, songs with their activations",
                         _EXPLORE)
    parser.add_argument("files", nargs="+", metavar="FILE", help=_FILES.partition(", or")[0])
    parser.add_argument("-o", "--output", type=output_name, metavar="OUT", required=True,
                        help="the page to write: .html")
    parser.add_argument("--embed", action="store_true", help="take the sound into the page, as MP3")
    parser.add_argument("--frames", type=int, default=N_FRAMES, metavar="N",
                        help=f"points, as many of each recording; default: {N_FRAMES:,}")
    parser.add_argument("--songs", type=int, default=N_SONGS, metavar="N",
                        help=f"recordings in the player; default: {N_SONGS}")
    parser.add_argument("--seed", type=int, default=0, help="of what is drawn; default: 0")


def _share(text):
    value = float(text)
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"{text} is no share; give a number from 0 to 1")
    return value


_share.__name__ = "share"  # as argparse calls it where it is no number


def main(argv=None):
    """Run one command.

    Parameters
    ----------
    argv : list of str, optional
        Instead of the process's own arguments.

    Returns
    -------
    int
        Exit status, see the module.
    """
    with warnings.catch_warnings():
        warnings.showwarning = lambda message, *_, **__: print(f"dbn: warning: {message}", file=sys.stderr)
        return _run(argv)


def _run(argv):
    prepare_streams()
    hear_interrupts()
    try:
        try:
            options = build_parser().parse_args(argv)
            status = options.run(options)
        finally:
            sys.stdout.flush()
        return status
    except DBNError as error:
        return _complain(error)
    except BrokenPipeError:
        drop_stdout()
        return BROKEN_PIPE
    except OSError as error:
        drop_stdout()
        return _complain(f"{error.filename or 'system'}: {error.strerror or error}")
    except KeyboardInterrupt:
        print("\ndbn: stopped", file=sys.stderr)
        return 130


def _complain(error):
    print(f"dbn: error: {printable(str(error))}", file=sys.stderr)
    return 2
