"""Kill commands at random moments, by SIGKILL, SIGTERM and SIGINT, and see what is left: ``python tests/kills.py 100``.

After each kill no process may be there ten seconds later; the same command is then given again, killed no more, and
must leave the same numbers as a run that nobody disturbed, no other file in its folder and none among the temporary
ones. A second number is the seed of the moments. It is no test of the suite, for it takes a quarter of a minute a kill.
"""
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import numpy as np
import soundfile

REPOSITORY = Path(__file__).parents[1]
SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)
TRAINING = ["--recipe", "paper", "--hidden-layers-sizes", "20,20", "--pretrain-epochs", "2", "--finetune-epochs", "20"]
SMOKE = ["--profile", "smoke", "--out", "out"]
COMMANDS = {
    "dbn train": ["-m", "dbn", "train", "music", "-o", "out/model.npz", "--jobs", "2", *TRAINING],
    "dbn extract": ["-m", "dbn", "extract", "model.npz", "music", "-", "-o", "out/features.csv"],
    "table1": ["-m", "experiments.table1", "--repeats", "2", "--jobs", "1", *SMOKE],
    "sweep": ["-m", "experiments.sweep", "--sweep-points", "6", "--jobs", "2", *SMOKE]}


def make_music(folder):
    """Noise of two colours, 40 songs of two seconds."""
    rng = np.random.default_rng(0)
    for label, width in (("dull", 30), ("sharp", 2)):
        (folder / label).mkdir(parents=True)
        for number in range(20):
            noise = np.convolve(rng.normal(size=44_100), np.ones(width) / width, "same")
            soundfile.write(folder / label / f"{number:02d}.wav", 0.1 * noise, 22_050)


def start(command, folder):
    """A command in a session of its own, reading a song from a pipe that nobody closes in a hurry."""
    environment = os.environ | {"TMPDIR": str(folder / "tmp"), "PYTHONPATH": str(REPOSITORY), "OMP_NUM_THREADS": "1"}
    with open(folder / "music" / "dull" / "00.wav", "rb") as song, open(folder / "said", "wb") as said:
        return subprocess.Popen([sys.executable, *COMMANDS[command]], cwd=folder, env=environment, stdin=song,
                                stdout=subprocess.DEVNULL, stderr=said, start_new_session=True)


def of_session(process):
    """Processes of a session that still run."""
    found = subprocess.run(["ps", "-o", "pid=,stat=", "--sid", str(process.pid)], capture_output=True, text=True).stdout
    return [line for line in found.splitlines() if " Z" not in line]


def name_of(path, folder):
    """A file's name without keys, which depend on the times at which the clips were made."""
    return re.sub("[0-9a-f]{12,}", "KEY", str(path.relative_to(folder)))


def numbers(folder):
    """What a command has computed: by file its arrays' bytes, or its text without times."""
    found = {}
    for path in sorted(folder.rglob("*")):
        name = name_of(path, folder)
        if path.suffix == ".npz" and "checkpoint" not in name:
            found[name] = {key: value.tobytes() for key, value in np.load(path).items() if key != "meta"}
        elif path.suffix == ".csv":
            found[name] = path.read_bytes()
        elif path.suffix == ".json" and (path.parent.name.startswith("rung-") or path.name == "table1.json"):
            content = json.loads(path.read_text())
            found[name] = (content["test_songs"] if "test_songs" in content else
                           [entry.get("valid_error") for entry in content["history"]])
    return found


def files(folder):
    """Names of all files and folders."""
    return sorted(name_of(path, folder) for path in folder.rglob("*"))


def main(n_kills, seed=0):
    """Kill, continue, compare; the exit status is 1 if anything was left or different."""
    rng, n_wrong = np.random.default_rng(seed), 0
    with tempfile.TemporaryDirectory() as root:
        root = Path(root)
        make_music(root / "music")
        (root / "tmp").mkdir()
        expected = {}
        for command in COMMANDS:
            (root / "out").mkdir()
            for _ in range(2):  # the second one knows how long it takes with everything compiled
                shutil.rmtree(root / "out")
                (root / "out").mkdir()
                began = time.monotonic()
                assert start(command, root).wait() == 0, command
            seconds = time.monotonic() - began
            expected[command] = numbers(root / "out"), files(root / "out"), seconds
            if command == "dbn train":
                shutil.copy(root / "out" / "model.npz", root / "model.npz")
            shutil.rmtree(root / "out")
        for number in range(n_kills):
            command, with_what = list(COMMANDS)[number % len(COMMANDS)], SIGNALS[number // len(COMMANDS) % len(SIGNALS)]
            result, there, seconds = expected[command]
            (root / "out").mkdir()
            process = start(command, root)
            moment = rng.uniform(0, seconds)
            time.sleep(moment)
            process.send_signal(with_what)
            status = process.wait()
            end = time.monotonic() + 10
            while of_session(process) and time.monotonic() < end:
                time.sleep(0.1)
            wrong = [f"{len(of_session(process))} processes"] if of_session(process) else []
            if b"Traceback" in (root / "said").read_bytes():
                wrong.append("a traceback")
                print((root / "said").read_text(errors="replace"))
            if start(command, root).wait() != 0:
                wrong.append("the next run fails")
            if numbers(root / "out") != result:
                wrong.append("other numbers")
            now = [*files(root / "out"), *(f"tmp/{name}" for name in os.listdir(root / "tmp"))]
            wrong += [f"files: {(Counter(now) - Counter(there)) + (Counter(there) - Counter(now))}"] * (now != there)
            print(f"{number + 1:3} {command}, {with_what.name} after {moment:.1f} of {seconds:.1f} s (exit status "
                  f"{status}): {'; '.join(wrong) or 'as if nothing had been'}", flush=True)
            n_wrong += bool(wrong)
            shutil.rmtree(root / "out")
    print(f"{n_kills} kills, {n_wrong} with a difference")
    return 1 if n_wrong else 0


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:])))
