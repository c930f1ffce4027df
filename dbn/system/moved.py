"""Modules that have moved: the old names that documents and notebooks have taught keep working."""
import importlib
import sys
import warnings
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec


class _OldPlaces(MetaPathFinder, Loader):
    """Finds a module under its old name: an empty one that looks everything up in the new."""

    def __init__(self, new_names):
        self.new_names = new_names

    def find_spec(self, name, path=None, target=None):
        return ModuleSpec(name, self) if name in self.new_names else None

    def exec_module(self, module):
        old, new = module.__name__, self.new_names[module.__name__]
        warnings.warn(f"{old} is now {new}", DeprecationWarning, stacklevel=2)
        found = importlib.import_module(new)
        module.__doc__ = found.__doc__
        module.__getattr__ = lambda name: getattr(found, name)


def keep_old_places(new_names):
    """Let modules be imported under their old names too, with a DeprecationWarning.

    Parameters
    ----------
    new_names : dict of str to str
        From each old dotted name to the new one.
    """
    sys.meta_path.append(_OldPlaces(new_names))
