"""Follows docs/tutorial.md word for word in a fresh copy of the source, and compares what comes out with what it says.

python docs/tools/follow_tutorial.py            # a quarter of an hour on two cores
python docs/tools/follow_tutorial.py --quick    # trains for a moment only: shows that everything runs
"""

import argparse
import json
import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TUTORIAL = ROOT / "docs" / "tutorial.md"
BLOCK = re.compile(
    r"^```(?P<language>\w+)(?: title=\"(?P<title>[^\"]+)\")?\n(?P<text>.*?)^```$", re.DOTALL | re.MULTILINE
)
END = "end of the commands of a box"
QUICK_STEPS = 200_000
MIN_GAIN = 0.05  # of the score from the first trial to the last, after the tutorial's training


@dataclass(frozen=True)
class Block:
    """A fenced block of a page."""

    language: str
    title: str | None  # name of the file that it is the content of
    text: str


def read_blocks(page: str) -> list[Block]:
    """The fenced blocks of a page, in order."""
    return [Block(**match.groupdict()) for match in BLOCK.finditer(page)]


def is_shown(expected: str, output: str) -> bool:
    """Whether the output is what was expected; `...` stands for anything, lines included; all spaces are alike."""
    parts = (re.escape(" ".join(part.split())) for part in expected.split("..."))
    return re.fullmatch(" ?.*? ?".join(parts), " ".join(output.split())) is not None


def main() -> None:
    """Follows the tutorial; exits with 1 where something else comes out."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help=f"train for {QUICK_STEPS} steps only")
    is_quick = parser.parse_args().quick
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "xworld"
        tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, check=True, capture_output=True, text=True).stdout
        for name in tracked.splitlines():
            if (ROOT / name).is_file():
                (copy / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(ROOT / name, copy / name)
        follow(copy, is_quick)
        if not is_quick:
            scores = json.loads((copy / "runs/tutorial/runs/first/scores.json").read_text())
            gain = next(iter(scores["scores"]["agent"].values()))["gain"]["value"]
            print(f"The agent gains {gain:.2f} from the first trial to the last.")
            if gain < MIN_GAIN:
                sys.exit(f"That is less than {MIN_GAIN}.")
    print("The tutorial shows what comes out.")


def follow(folder: Path, is_quick: bool) -> None:
    """Types every command and writes every file of the tutorial, in one shell that starts in a folder."""
    shell = subprocess.Popen(
        ["bash"], cwd=folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    assert shell.stdin is not None and shell.stdout is not None
    output = ""
    for block in read_blocks(TUTORIAL.read_text()):
        if block.language == "text":
            if not is_shown(block.text, output):
                sys.exit(f"The tutorial says\n{block.text}\nand what came out is\n{output}")
            continue
        if block.title is not None:
            commands = f"cat > {block.title} <<'END_OF_FILE'\n{block.text}END_OF_FILE\n"
        else:
            commands = block.text
        if is_quick:
            commands = re.sub(r"--total-steps \d+", f"--total-steps {QUICK_STEPS}", commands)
        print(block.title or block.text, end="" if block.title is None else "\n", flush=True)
        shell.stdin.write(f"set -e\n{commands}\nset +e\necho '{END}'\n")
        shell.stdin.flush()
        output = ""
        for line in shell.stdout:
            if line.strip() == END:
                break
            output += line
        else:
            sys.exit(f"It failed:\n{output}")
    shell.stdin.close()
    shell.wait()


if __name__ == "__main__":
    main()
