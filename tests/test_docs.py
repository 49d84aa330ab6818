"""What the documents show works: the README's code and tasks, links, and the examples."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

import xworld

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def _blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", page.read_text(), re.DOTALL)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)#]+?)(?:#[^)]*)?\)", page.read_text()):
        if not target.startswith("http"):
            assert (page.parent / target).exists(), target


def test_readme_code_runs():
    for code in _blocks(ROOT / "README.md", "python"):
        exec(compile(code, "README.md", "exec"), {})


def test_readme_task_parses():
    (text,) = _blocks(ROOT / "README.md", "toml")
    xworld.tasks.parse(text, xworld.tasks.config_for(text))


@pytest.mark.parametrize("example", sorted((ROOT / "examples").glob("*.py")), ids=lambda path: path.stem)
def test_examples_run_and_are_short(example, tmp_path):
    assert len(example.read_text().splitlines()) <= 80
    done = subprocess.run([sys.executable, example], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout
    if example.stem.startswith("custom"):
        first, *_, last = (float(number) for number in re.findall(r"return .*?(\d+\.\d+)", done.stdout))
        assert last > first + 2  # it has learned
