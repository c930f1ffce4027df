"""Ways to call ``dbn`` and to look at what it says."""
import subprocess
import sys
from pathlib import Path

import pytest

from dbn.audio import dft_magnitudes, load_audio
from dbn.cli.parser import main
from dbn.trained.model import load_model

SETTINGS = {"sample_rate": 22050, "frame_length": 64, "hop_length": 32, "window": None}
SIZES = (33, 5, 4, 3)  # of the model's layers
REPOSITORY = Path(__file__).parents[1]


def call(*arguments, stdin=b"", **options):
    """The command in a process of its own."""
    return subprocess.run([sys.executable, "-m", "dbn", *map(str, arguments)], timeout=60, **(
        {"input": stdin, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | options))


def whole_file(folder, path):
    """The model and all frames of a recording, as the library gives them."""
    settings = dict(SETTINGS)
    return load_model(folder / "model.npz"), dft_magnitudes(load_audio(path, settings.pop("sample_rate"), 64),
                                                            **settings)


def refusal(capsys, *arguments, status=2):
    assert main(list(map(str, arguments))) == status
    out, error = capsys.readouterr()
    assert out == "" and "Traceback" not in error
    return error


def usage_error(capsys, *arguments):
    with pytest.raises(SystemExit) as ended:
        main(list(map(str, arguments)))
    assert ended.value.code == 2
    return capsys.readouterr().err
