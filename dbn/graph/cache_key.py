"""The number under which compiled kernels are kept on disk: another one whenever what they are made of changes.

PyTensor's cache tells one operation from another by its name and properties, and by a number that whoever registers it
gives. It knows nothing of the code: without another number it would go on giving the kernels of yesterday's.
"""
import hashlib
from pathlib import Path


def key_of(folder):
    """A number of 64 bits, from the names and contents of all Python files in a folder; int.

    Of all, as a list of those that matter would be forgotten one day; and no kernel uses code from elsewhere.
    """
    digest = hashlib.sha256()
    for path in sorted(Path(folder).glob("*.py")):
        content = path.read_bytes()
        digest.update(f"{path.name} {len(content)} ".encode() + content)
    return int.from_bytes(digest.digest()[:8], "big")


KEY = key_of(Path(__file__).parent)
