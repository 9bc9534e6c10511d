"""Run the code cells of a notebook of docs/ in this process, as a person would run them from top to bottom."""

import json

from evergreen.stack.config.home import PROJECT


def run_notebook(name):
    """The names that the cells of `docs/<name>` leave behind; raises what a cell raises."""
    import matplotlib

    matplotlib.use("Agg")
    names = {"__name__": "__main__"}
    for number, cell in enumerate(json.loads((PROJECT / "docs" / name).read_text(encoding="utf-8"))["cells"]):
        if cell["cell_type"] == "code":
            exec(compile("".join(cell["source"]), f"{name}, cell {number}", "exec"), names)
    return names
