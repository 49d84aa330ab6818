"""What the documents show works: Python, task files, commands, links, and the examples."""

import ast
import contextlib
import importlib
import io
import re
import shlex
import subprocess
import sys
from pathlib import Path

import jax
import pytest

import xworld
import xworld.agents
from xworld.apps.commands import main as cli
from xworld.base.errors import ConfigError
from xworld.base.xla import devices
from xworld.tasks import TaskSet, parse
from xworld.training import PRESETS, make_trainer

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "docs" / "tools"))
follow_tutorial = importlib.import_module("follow_tutorial")
read_blocks, is_shown = follow_tutorial.read_blocks, follow_tutorial.is_shown

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
NOT_RUN = "# Not run by the tests: "  # first line of Python that takes long, or needs what is not here
NEEDS = "# Needs "  # first line of Python that needs a package that may be missing; the tests of clients have it
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))
LEARNING = ("custom_loop", "custom_network", "several_devices")  # print returns that have to rise
SLOW_PAGES = (  # tests do the same
    *("agents", "coming-from", "contract", "expert", "histories", "rendering", "speed"),
    *("gymnasium", "gymnax", "jaxued", "pettingzoo", "own-curriculum"),
)
SLOW = (*LEARNING, "many", "step", "evaluate_and_plot", "write_a_task", "language_agent")
TRAINING = ("own-curriculum", "own-learner", "own-loss")  # pages that train
TASK = 'goal = "hold(agent, red ball)"\nmap = "0b"\nlegend.b = "red ball"'


def _name(path: Path) -> str:
    return str(path.relative_to(ROOT).with_suffix(""))


def _pages_with(language: str) -> list[Path]:
    return [page for page in PAGES if any(block.language == language for block in read_blocks(page.read_text()))]


@pytest.mark.parametrize("page", PAGES, ids=_name)
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)#]+?)(?:#[^)]*)?\)", page.read_text()):
        if not target.startswith("http"):
            assert (page.parent / target).exists(), target


@pytest.fixture(scope="module")
def saved_agent(tmp_path_factory):
    """An agent of the demo that has learned nothing."""
    config = PRESETS["smoke"]()
    agent = xworld.agents.make_agent(config.agent, config.env)
    folder = tmp_path_factory.mktemp("agent") / "saved"
    xworld.agents.save(folder, agent, jax.jit(agent.init)(jax.random.key(0)))
    return folder


@pytest.fixture
def session(saved_agent, tmp_path, monkeypatch):
    """A folder to run pages in, with an agent where pages have one."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(devices, "num_cores", jax.local_device_count)  # jax has started
    (tmp_path / "runs").mkdir()
    for run in ("demo", "first"):
        (tmp_path / "runs" / run).symlink_to(saved_agent)


@pytest.mark.parametrize(
    "page",
    [pytest.param(page, marks=pytest.mark.slow) if page.stem in SLOW_PAGES else page for page in _pages_with("python")],
    ids=_name,
)
def test_python_runs_and_prints_what_is_shown(page, session, tmp_path, monkeypatch):
    """The Python of a page is one session. What it trains is traced: see `test_training_of_pages_runs`."""
    monkeypatch.setattr(xworld.training, "train", _trace)
    _run_page(page, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("page", TRAINING)
def test_training_of_pages_runs(page, session, tmp_path):
    _run_page(ROOT / "docs" / "how-to" / f"{page}.md", tmp_path)
    (run,) = (tmp_path / "runs").glob("*/metrics.csv")
    assert len(run.read_text().splitlines()) > 1


def _trace(config, folder, *, tasks=None, terms=(), learner=None, show_progress=True):
    """In place of `train`: has jax trace the start and a chunk of the run, without compiling them."""
    assert folder.parent == Path("runs") and not show_progress
    trainer = make_trainer(config, learner=learner)
    few = TaskSet.from_tasks([parse(TASK, config.env)])  # so that no generator is traced
    given = trainer.given(few if tasks is None else tasks, tuple(terms))
    state = jax.eval_shape(trainer.start, given)
    after, _, metrics, _ = jax.eval_shape(trainer.chunk, state, given)
    assert jax.tree.structure(after) == jax.tree.structure(state)
    assert {f"term_{term.name}" for term in terms} <= set(metrics)


def _run_page(page: Path, folder: Path) -> None:
    """Runs all Python of a page, in a folder that gets the page's files, and compares what it prints."""
    names: dict[str, object] = {"__name__": page.stem}
    printed: str | None = None
    for block in read_blocks(page.read_text()):
        if block.language == "text" and printed is not None:
            assert is_shown(block.text, printed), printed
        if block.title is not None:
            (folder / block.title).write_text(block.text)
        if block.language == "python":
            if block.text.startswith(NEEDS):
                package = block.text.partition("\n")[0].removeprefix(NEEDS)
                pytest.importorskip(package, reason=f"{package} is not installed")
            printed = _run(block.text, names)
        elif block.language != "bash":  # the tutorial runs its files by a command, which comes between
            printed = None


def _run(code: str, names: dict[str, object]) -> str | None:
    """Runs code; gives what it prints. Of code that is not run, whatever it imports has to be there."""
    if code.startswith(NOT_RUN):
        imports = [node for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Import | ast.ImportFrom)]
        exec(compile(ast.Module(imports, type_ignores=[]), "page", "exec"), {})
        return None
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(code, "page", "exec"), names)
    return printed.getvalue()


@pytest.mark.parametrize("page", _pages_with("toml"), ids=_name)
def test_task_files_parse(page):
    for block in read_blocks(page.read_text()):
        if block.language == "toml" and "map =" in block.text:
            xworld.tasks.parse(block.text, xworld.tasks.config_for(block.text))


@pytest.mark.parametrize("page", PAGES, ids=_name)
def test_commands_are_understood(page):
    text = page.read_text()
    boxes = [block.text for block in read_blocks(text) if block.language == "bash"]
    lines = "".join(boxes).splitlines() + re.findall(r"^    (xworld .*)$", text, re.MULTILINE)
    for line in lines:
        words = shlex.split(line, comments=True)
        if words[:1] == ["xworld"]:
            _understand(words[1:])
        if words[:1] == ["python"]:
            (script,) = [word for word in words if word.endswith(".py")] or [None]
            written = any(block.title == script for block in read_blocks(text))
            assert script is None or written or (ROOT / script).exists(), script


def _understand(arguments: list[str]) -> None:
    """Parses a command without running it. A preset, an environment or a run that is not here is not looked for."""
    try:
        cli._parse(arguments)
    except ConfigError as error:
        assert "--resume" in arguments, error


def test_the_list_of_examples_says_what_they_say():
    page = (ROOT / "docs" / "examples.md").read_text()
    listed = dict(re.findall(r"^\| \[`(\w+)\.py`\]\(\S+\) \| (.*) \|$", page, re.MULTILINE))
    said = {path.stem: ast.get_docstring(ast.parse(path.read_text())) or "" for path in EXAMPLES}
    assert listed == {name: docstring.partition("\n")[0] for name, docstring in said.items()}


@pytest.mark.parametrize(
    "example",
    [pytest.param(path, marks=pytest.mark.slow) if path.stem in SLOW else path for path in EXAMPLES],
    ids=lambda path: path.stem,
)
def test_examples_run_and_are_short(example, tmp_path):
    assert len(example.read_text().splitlines()) <= 80
    done = subprocess.run([sys.executable, example], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout
    if example.stem in LEARNING:
        first, *_, last = (float(number) for number in re.findall(r"return .*?(\d+\.\d+)", done.stdout))
        assert last > first + 2  # it has learned


def test_dots_stand_for_anything_and_nothing_else_does():
    assert is_shown("a ...\n...\nc  d\n", "a 1\nx\ny\nc d\n")
    assert not is_shown("a\nb\n", "a\nx\nb\n")
    assert not is_shown("a.c", "abc")
