"""From measurements to ``bench.json``, ``bench.md`` and ``bench.png``."""
import json
import os
from contextlib import suppress
from datetime import datetime, timezone
from importlib.metadata import PackageNotFoundError, version

from dbn.system.files import atomic_path
from dbn.system.versions import versions
from experiments.bench import curves, jax_peers, peers
from experiments.steps.options import command
from experiments.steps.reporting import machine, markdown_table, value_text

TITLE = "Benchmarks"
QUICK_NOTE = "A quick run: it shows that the benchmarks work, its numbers mean nothing."


def result_of(measured, argv, quick):
    """What ``bench.json`` holds: the measurements, and how, when and where they were made.

    Parameters
    ----------
    measured : dict
        ``rows``, ``profiles`` and ``curves``, see :func:`experiments.bench.__main__.measure`.
    argv : list of str
        The command line.
    quick : bool
    """
    return measured | {"quick": quick, "command": command("bench", argv), "machine": machine() | {"memory": _memory()},
                       "versions": versions() | _peers(), "blas_threads": 1,
                       "made": datetime.now(timezone.utc).isoformat(timespec="seconds")}


def _memory():
    """Main memory in bytes."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def _peers():
    """Versions of what the library is measured against and does not need itself."""
    found = {"torch": peers.NO_TORCH, "jax": jax_peers.NO_JAX}
    for name in found:
        with suppress(PackageNotFoundError):
            found[name] = version(name)
    return found


def as_markdown(result):
    """The report as a person reads it."""
    where = result["machine"]
    versions_text = ", ".join(f"{name} {number}" for name, number in result["versions"].items())
    lines = [f"# {TITLE}", "", *([f"**{QUICK_NOTE}**", ""] if result["quick"] else []),
             f"`{result['command']}`, {result['made']}; {where['cpu']}, {where['cores']} cores, "
             f"{where['memory'] / 1e9:.0f} GB, {where['system']}; {versions_text}; one BLAS thread a process.", "",
             "A ratio is of two measurements that follow each other; median and, in brackets, extremes of the rounds. "
             "\"x\" is how many times as fast the first is as the second."]
    if result["rows"]:
        lines += ["", markdown_table(["work", "against", "measured", "target", "", "in numbers"],
                                     [_cells(row) for row in result["rows"]])]
    for profile in result["profiles"]:
        lines += ["", f"## Where the time goes: {profile['work']}", "",
                  f"{profile['nanoseconds']:,.0f} ns a frame; each kind of work alone:", "",
                  markdown_table(["", "ns a frame", "share"], [[kind, f"{nanoseconds:,.0f}", f"{100 * share:.0f} %"]
                                                               for kind, nanoseconds, share in profile["parts"]])]
    if result["curves"]:
        lines += ["", "## Cost against size", "", "![seconds and memory against size](bench.png)"]
        for points in result["curves"].values():
            names = [name for name, value in points[0].items() if not isinstance(value, list)]
            lines += ["", markdown_table(names, [[value_text(point[name]) for name in names] for point in points])]
    return "\n".join(lines)


def _cells(row):
    if "skipped" in row:
        return [row["work"], row["against"], row["skipped"], "", "", ""]
    unit = "" if row["unit"] == "x" else f" {row['unit']}"
    measured = f"{_short(row['median'])}{unit}"
    if len(row["values"]) > 1:
        measured += f" [{_short(row['low'])}, {_short(row['high'])}]"
    target = "" if row["target"] is None else f"{'at most' if row['at_most'] else 'at least'} {row['target']:g}{unit}"
    return [row["work"], row["against"], measured, target, {True: "met", False: "missed", None: ""}[row["met"]],
            row["note"]]


def _short(value):
    """Three digits, and all of those before the point."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def write(out, result):
    """Write the three files into the folder `out` and print the report."""
    text = as_markdown(result)
    out.mkdir(parents=True, exist_ok=True)
    if result["curves"]:
        curves.draw(out / "bench", result["curves"])
    for suffix, content in ((".json", json.dumps(result, indent=1, allow_nan=False)), (".md", text)):
        with atomic_path(out / f"bench{suffix}") as path:
            path.write_text(content + "\n")
    print(f"{text}\n\nwritten: {out / 'bench'}.md and .json")
