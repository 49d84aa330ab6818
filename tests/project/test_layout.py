"""How large functions and folders may grow. Which imports are allowed is in pyproject.toml, under `importlinter`."""

import ast
from collections.abc import Iterator
from pathlib import Path

import xworld

PACKAGE = Path(xworld.__file__).parent
MAX_LINES = 60  # of a function, from its first decorator on, docstring included
MAX_ROOMS = 9  # files and folders in a folder
MAX_ROOMS_AT_THE_TOP = 11  # ten floors and `__main__`
TOO_LONG = {  # to be split; nothing else may be added
    "training/run/loop.py: train",
}


def functions() -> Iterator[tuple[str, int]]:
    """Names of all functions, and their numbers of lines."""
    for path in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.end_lineno is not None:
                start = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
                yield f"{path.relative_to(PACKAGE)}: {node.name}", node.end_lineno - start + 1


def rooms(folder: Path) -> list[str]:
    """Modules and packages in a folder of the package. Folders of data have no Python in them."""
    files = [path for path in folder.glob("*.py") if path.name != "__init__.py"]
    folders = [path for path in folder.iterdir() if path.is_dir() and any(path.glob("*.py"))]
    return sorted(path.name for path in files + folders)


def test_no_function_is_long():
    assert {name: lines for name, lines in functions() if lines > MAX_LINES and name not in TOO_LONG} == {}


def test_no_folder_is_crowded():
    folders = [PACKAGE, *(path for path in PACKAGE.rglob("*") if path.is_dir() and any(path.glob("*.py")))]
    assert len(folders) > 30
    most = {folder: MAX_ROOMS if folder != PACKAGE else MAX_ROOMS_AT_THE_TOP for folder in folders}
    crowded = {str(folder): rooms(folder) for folder in folders if len(rooms(folder)) > most[folder]}
    assert crowded == {}
