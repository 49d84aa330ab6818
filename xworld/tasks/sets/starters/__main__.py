"""Makes the files of starters anew, of some environments or of all: python -m xworld.tasks.sets.starters [NAME ...]."""

import sys

from xworld.tasks.sets.named import environment_names, make
from xworld.tasks.sets.starters.starters import FOLDER, generate
from xworld.tasks.sets.storage import save


def main() -> None:
    """Writes the files."""
    for name in sys.argv[1:] or environment_names():
        path = save(FOLDER / f"{name}.npz", generate(name), make(name).config)
        print(f"{path.name}: {path.stat().st_size / 1000:.0f} KB", flush=True)


if __name__ == "__main__":
    main()
