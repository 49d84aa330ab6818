"""Prints a constraints file with the lowest version of every package that pyproject.toml gives a lower bound."""

import re
import tomllib
from pathlib import Path

project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text(encoding="utf-8"))["project"]
lines = [*project["dependencies"], *(line for extra in project["optional-dependencies"].values() for line in extra)]
bounds = {match[1]: match[2] for line in lines if (match := re.fullmatch(r"([\w-]+)>=([\d.]+)", line))}
print("\n".join(f"{name}=={version}" for name, version in bounds.items()))
