"""A clone by Git for Windows, which turns line ends by default, has the bytes that manifests name."""

import hashlib
import json
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="a package without its repository has nothing to clone")
def test_agents_survive_a_clone_with_other_line_ends(tmp_path):
    command = ["git", "-c", "core.autocrlf=true", "-c", "core.eol=crlf", "clone", "-q", str(ROOT), str(tmp_path / "it")]
    subprocess.run(command, check=True)
    manifests = list((tmp_path / "it" / "xworld").rglob("manifest.json"))
    assert manifests
    for manifest in manifests:
        for name, wanted in json.loads(manifest.read_bytes())["files"].items():
            assert hashlib.sha256((manifest.parent / name).read_bytes()).hexdigest() == wanted, name
