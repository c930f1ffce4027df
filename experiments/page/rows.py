"""A result's rows as the report's tables."""
from experiments.page.content import COLUMNS, FIRST, IN_WORDS, INTERVALS, RANGES, SHARES
from experiments.page.elements import accuracy_mark, element, table
from experiments.steps.reporting import range_text, value_text


def row_tables(rows, is_question=False):
    """The rows as a table, and each of their dicts (as the recall of each class) as one of its own.

    A question's rows have long names, and a picture that says what accuracy marks would say.
    """
    keys = list(dict.fromkeys(key for row in rows for key, value in row.items() if value is not None))
    keys.sort(key=lambda key: FIRST.index(key) if key in FIRST else len(FIRST))
    dicts = [key for key in keys if all(isinstance(row.get(key), (dict, type(None))) for row in rows)]
    columns = [("", lambda row: _long_name(row["name"]) if is_question else row.get("name", ""))]
    if {"value", "accuracy"} & set(keys):
        columns.append(("ours", _ours))
    if "paper" in keys:
        columns.append(("paper", lambda row: _cell(row.get("paper"), 3 if "accuracy" in row else None)))
    if "accuracy" in keys and not is_question:
        columns.append(("0 to 1", _mark))
    shown = {"name", "value", "accuracy", "ci95", "paper", *INTERVALS.values(), *IN_WORDS, *dicts}
    if all(row.get("n_test") == row.get("n_songs") for row in rows):
        shown.add("n_test")  # every song was decided once
    if all(len(row.get("accuracies") or []) < 2 for row in rows):
        shown.add("accuracies")  # says again what the accuracy says
    columns += [(COLUMNS.get(key, key), lambda row, key=key: _value(row, key)) for key in keys if key not in shown]
    yield table([heading for heading, _ in columns], [[cell(row) for _, cell in columns] for row in rows])
    for key in dicts:
        names = list(dict.fromkeys(name for row in rows for name in row.get(key) or {}))
        yield element("h3", COLUMNS.get(key, key))
        yield table(["", *(row.get("name", "") for row in rows)],
                    [[name, *(_cell((row.get(key) or {}).get(name), 2) for row in rows)] for name in names])


def _long_name(text):
    """One that may take several lines."""
    return element("span", text, class_="name")


def _ours(row):
    return _with_interval(row["accuracy"], row.get("ci95")) if "accuracy" in row else _cell(row.get("value"))


def _with_interval(share, interval):
    return element("span", _cell(share, 3), element("small", f" [{_cell(interval, 3)}]") if interval else None)


def _value(row, key):
    if key == "against":
        return _long_name(row.get(key))
    if key in INTERVALS:
        return _with_interval(row.get(key), row.get(INTERVALS[key]))
    if key in RANGES and isinstance(row.get(key), list):
        return range_text(row[key])
    return _cell(row.get(key), 3 if key in SHARES else None)


def _mark(row):
    if "accuracy" not in row:
        return None
    return accuracy_mark(row["accuracy"], row.get("ci95"), row.get("paper"))


def _cell(value, decimals=None):
    """A cell's text: a number with so many decimals, or without `decimals` in four digits; a list by its parts."""
    if value is None:
        return ""
    if isinstance(value, (list, tuple)):
        return ", ".join(_cell(part, decimals) for part in value)
    if decimals is None or not isinstance(value, (int, float)):
        return value_text(value)
    return f"{value:.{decimals}f}"
