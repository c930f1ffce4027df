"""The elements of the report's page. Text goes in as text and is escaped on the way out, whatever it holds."""
import base64
import struct
from xml.etree import ElementTree

from dbn.errors import DBNError

# picture dots on a CSS pixel: sharp on a dense screen and in print
DOTS_A_PIXEL = 1.5

# CSS pixels; a wider picture is scrolled on a phone rather than shrunk until nobody can read it
WIDE = 640


def element(tag, *children, **attributes):
    """An HTML element.

    Parameters
    ----------
    tag : str
        Its name.
    *children : str, number, Element or None
        What it holds, in this order; None is left out.
    **attributes : str or number
        A trailing underscore is dropped (``class_``), other underscores become hyphens; None is left out.

    Returns
    -------
    xml.etree.ElementTree.Element
    """
    names = {name: name.rstrip("_").replace("_", "-") for name in attributes}
    result = ElementTree.Element(tag, {names[name]: str(value) for name, value in attributes.items()
                                       if value is not None})
    for child in children:
        if child is None:
            continue
        if isinstance(child, ElementTree.Element):
            result.append(child)
        elif len(result):
            result[-1].tail = (result[-1].tail or "") + str(child)
        else:
            result.text = (result.text or "") + str(child)
    return result


def table(header, rows, class_=None):
    """A table whose first column names its rows; it scrolls by itself where the screen is narrower.

    Parameters
    ----------
    header : list of str
        Of every column; the first may be empty.
    rows : list of list
        Cells, each a child of :func:`element`.

    Returns
    -------
    Element
    """
    head = element("tr", *(element("th", cell, scope="col") for cell in header))
    body = [element("tr", element("th", row[0], scope="row"), *(element("td", cell) for cell in row[1:]))
            for row in rows]
    return element("div", element("table", element("thead", head), element("tbody", *body), class_=class_),
                   class_="scroll")


def pairs(items, class_=None):
    """A list of names and values: an Element of (name, value) pairs."""
    return element("dl", *(element("div", element("dt", name), element("dd", value)) for name, value in items),
                   class_=class_)


def command_block(*lines):
    """Lines to copy into a shell."""
    return element("pre", *(element("code", f"{line}\n") for line in lines))


def picture(path, text):
    """A PNG file inside the page, with `text` below it and for those who cannot see it.

    Raises
    ------
    DBNError
        If the file cannot be read or is no PNG.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DBNError(f"{path}: cannot be read: {error.strerror or error}") from error
    if data[:8] != b"\x89PNG\r\n\x1a\n" or len(data) < 24:
        raise DBNError(f"{path}: not a PNG picture; delete it and make it again")
    width, height = (round(dots / DOTS_A_PIXEL) for dots in struct.unpack(">II", data[16:24]))
    image = element("img", src="data:image/png;base64," + base64.b64encode(data).decode(), alt=text,
                    width=width, height=height, class_="wide" if width > WIDE else None)
    return element("figure", element("div", image, class_="scroll"), element("figcaption", text, aria_hidden="true"))


def accuracy_mark(accuracy, interval, paper):
    """A line from 0 to 1 with our accuracy (dot), its interval (bar) and the paper's accuracy (upright stroke).

    Parameters
    ----------
    accuracy : float
        Ours.
    interval : [low, high] or None
        Around it.
    paper : float or None
        The paper's.
    """
    parts = [element("line", x1=0, x2=100, y1=8, y2=8, class_="axis")]
    if interval:
        parts.append(element("line", x1=100 * interval[0], x2=100 * interval[1], y1=8, y2=8, class_="interval"))
    if paper is not None:
        parts.append(element("line", x1=100 * paper, x2=100 * paper, y1=1, y2=15, class_="paper"))
    parts.append(element("circle", cx=100 * accuracy, cy=8, r=3.5, class_="ours"))
    return element("svg", *parts, viewBox="-4 0 108 16", class_="mark", aria_hidden="true")


def write_document(path, title, style, *body):
    """Write a whole page that needs no other file.

    Parameters
    ----------
    path : pathlib.Path
        Where it goes; the caller sees to it that no half file is left.
    title : str
        Of the window.
    style : str
        Its style sheet.
    *body : Element
        What it shows.
    """
    head = element("head", element("meta", charset="utf-8"),
                   element("meta", name="viewport", content="width=device-width, initial-scale=1"),
                   element("title", title), element("style", style))
    document = element("html", head, element("body", *body), lang="en")
    text = "<!DOCTYPE html>\n" + ElementTree.tostring(document, encoding="unicode", method="html") + "\n"
    path.write_bytes(text.encode("utf-8", errors="replace"))  # a file's name may hold bytes that are no text
