"""Installed as ``experiments``, where it says that the paper's scripts are not part of the installed package.

In a checkout Python finds the scripts themselves first. Whoever has a package of the same name keeps it: every other
folder ``experiments`` on Python's path is searched before anything is said.
"""
import sys
from importlib.abc import MetaPathFinder
from pkgutil import extend_path

__path__ = extend_path(__path__, __name__)

SCRIPTS = {f"{__name__}.{name}" for name in (
    "sweep", "table1", "table2", "table3", "table4", "figure1", "figure2", "figure3", "explore", "report", "bench",
    "whole_paper", "questions")}


class _NotHere(MetaPathFinder):
    """The last to be asked for a module."""

    def find_spec(self, name, path=None, target=None):
        if name in SCRIPTS:
            raise ModuleNotFoundError("the experiments are scripts of the source repository, not of the installed "
                                      "package; get the repository, and run this in its folder")
        return None


sys.meta_path.append(_NotHere())
