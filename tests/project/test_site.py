"""The documentation site builds without a warning, fetches nothing, and its reference has every public name."""

import importlib
import os
import pkgutil
import re
import subprocess
import sys
import zlib
from pathlib import Path

import pytest

import xworld

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.slow  # to build it takes longer than any test


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The folder of the built site."""
    folder = tmp_path_factory.mktemp("site") / "site"
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--quiet", "--site-dir", folder],
        cwd=ROOT,
        env=os.environ | {"NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return folder


def test_every_public_name_is_in_the_reference(site):
    inventory = (site / "objects.inv").read_bytes().partition(b"zlib.\n")[2]
    described = {line.split()[0] for line in zlib.decompress(inventory).decode().splitlines()}
    packages = [xworld.__name__] + [
        module.name
        for module in pkgutil.walk_packages(xworld.__path__, "xworld.")
        if module.ispkg and module.name.count(".") == 1 + module.name.startswith("xworld.apps.")
    ]
    public = {
        f"{package}.{name}": value
        for package in packages
        for name, value in vars(importlib.import_module(package)).items()
        if name in getattr(sys.modules[package], "__all__", ())
    }
    assert len(public) > 100
    for path, value in public.items():
        defined = f"{getattr(value, '__module__', None)}.{getattr(value, '__qualname__', None)}"
        assert path in described or defined in described, path


def test_nothing_is_fetched(site):
    for page in site.rglob("*.html"):
        for tag in re.findall(r"<(?:link|script|img|iframe)\b[^>]*>", page.read_text()):
            assert not re.search(r"\b(?:src|href)=\"?(?:https?:)?//", tag) or 'rel="canonical"' in tag, (page.name, tag)


def test_pages_have_what_is_made_for_them(site):
    commands = (site / "reference" / "commands.html").read_text()
    assert "xworld tasks sample" in commands and "--learner.learning-rate" in commands
    assert "rows of the grid" in (site / "reference" / "xworld.html").read_text()  # a comment behind a field
    assert (site / "source" / "examples" / "step.py.txt").read_text() == (ROOT / "examples" / "step.py").read_text()
