"""How much memory a process has had at most; known on Linux alone."""
from pathlib import Path

_PROCESS = Path("/proc/self")


def forget_peak():
    """Begin anew to watch for the largest amount, where the system can."""
    try:
        (_PROCESS / "clear_refs").write_text("5")
    except OSError:
        pass


def peak_bytes():
    """The most bytes that lay in memory at a time, mapped files among them; None where the system does not say."""
    try:
        lines = (_PROCESS / "status").read_text().splitlines()
    except OSError:
        return None
    return next((1024 * int(line.split()[1]) for line in lines if line.startswith("VmHWM:")), None)
