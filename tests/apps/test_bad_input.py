"""Bad input of every kind: one clear line and exit status 2, with nothing lost, written or executed.

The table is `ROWS`: what is typed, and words that the line has to have. All is done in this process, and refused before
anything is compiled.
"""

import json
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path

import jax
import numpy as np
import pytest

from xworld.agents import make_agent, save
from xworld.apps.commands.main import main
from xworld.base.configs import to_json
from xworld.core.config import EnvConfig
from xworld.histories import Header, History, Step, write_history
from xworld.tasks import TaskSet, parse
from xworld.tasks import save as save_tasks
from xworld.training import PRESETS

TASK = '''
goal = "hold(agent, black cube)"
rules = ["hold(agent, purple ball) -> black cube"]
trial_length = 12
num_trials = 2
map = """
#####
#0.b#
#...#
#####
"""
[legend]
b = "purple ball"
'''
KEYS = '[first]\npick_up = "space"\n'
STUDY = (
    'title = "T"\nseconds_per_step = 1.0\nnum_trials = [1]\nconsent = "c"\ninstructions = "i"\n'
    '[[probes]]\nsource = "crafting_tree_visible"\n'
)
DEEP_JSON, DEEP_TOML = "[" * 100_000, "a = " + "[" * 20_000
LONG = "1" * 5000  # digits, more than Python turns into a number


class Bomb:
    """What would leave a file if a pickle of it were loaded."""

    def __reduce__(self):
        return Path.touch, (Path("executed"),)


# Changes to the text of a good file: (what is replaced, by what) or the whole text; and words of the complaint.
TASK_FAULTS: dict[str, tuple[tuple[str, str] | str | bytes, str]] = {
    "empty": ("", "map"),
    "binary": (b"\xff\xfe\x00\x01", "UTF-8"),
    "latin-1": ('title = "é"'.encode("latin-1"), "UTF-8"),
    "not TOML": ("goal = = 1", "TOML"),
    "deep": (DEEP_TOML, "deeply"),
    "long number": (("trial_length = 12", f"trial_length = {LONG}"), "digits"),
    "JSON": ("{}", "TOML"),
    "unknown key": (("trial_length", "trial_lenght"), "trial_length"),
    "key twice": (("num_trials = 2", "num_trials = 2\nnum_trials = 3"), "twice"),
    "zero trials": (("num_trials = 2", "num_trials = 0"), "num_trials"),
    "negative length": (("trial_length = 12", "trial_length = -1"), "trial_length"),
    "huge length": (("trial_length = 12", "trial_length = 100000000"), "trial_length"),
    "length is text": (("trial_length = 12", 'trial_length = "long"'), "trial_length"),
    "length is NaN": (("trial_length = 12", "trial_length = nan"), "trial_length"),
    "goal is a number": (('goal = "hold(agent, black cube)"', "goal = 3"), "goal"),
    "goal of nothing": (("hold(agent, black cube)", "hold()"), "goal"),
    "unknown relation": (("hold(agent, black cube)", "holds(agent, black cube)"), "hold"),
    "unknown colour": (("black cube", "blakc cube"), "black"),
    "an object holds": (("hold(agent, black cube)", "hold(red key, black cube)"), "hold"),
    "rules are a table": (('rules = ["hold(agent, purple ball) -> black cube"]', "rules = {}"), "rules"),
    "rule without an arrow": (("purple ball) -> black", "purple ball) black"), "rules[0]"),
    "rule that changes nothing": (("-> black cube", "-> purple ball"), "rules[0]"),
    "map is a list": (('map = """\n#####\n#0.b#\n#...#\n#####\n"""', "map = [1]"), "map"),
    "map of one line that is missing": (("#0.b#", ""), "map"),
    "unknown character": (("#0.b#", "#0?b#"), "?"),
    "no agent": (("#0.b#", "#..b#"), "agent"),
    "agent twice": (("#0.b#", "#00b#"), "agent"),
    "legend is text": (('[legend]\nb = "purple ball"', 'legend = "b"'), "legend"),
    "legend of a number": (('b = "purple ball"', "b = 1"), "legend"),
    "hidden word": (("num_trials = 2", 'hidden = "some"'), "hidden"),
    "facing up": (("num_trials = 2", 'facing = "up"'), "facing"),
}
KEY_FAULTS: dict[str, tuple[str | bytes, str]] = {
    "binary": (b"\xff\xfe\x00\x01", "UTF-8"),
    "deep": (DEEP_TOML, "deeply"),
    "unknown table": ("[frist]\n", "first"),
    "unknown action": ('[first]\npickup = "space"\n', "pick_up"),
    "unknown key": ('[first]\npick_up = "spcae"\n', "space"),
    "number": ("[first]\npick_up = 3\n", "pick_up"),
    "list": ("[first]\npick_up = []\n", "pick_up"),
    "key for two": ('[first]\npick_up = "up"\n', "up"),
    "table is a number": ("first = 1\n", "first is 1; write a line [first], and below it lines such as forward = "),
}
STUDY_FAULTS: dict[str, tuple[tuple[str, str] | str | bytes, str]] = {
    "binary": (b"\xff\xfe\x00\x01", "UTF-8"),
    "deep": (DEEP_TOML, "deeply"),
    "unknown field": (("title", "tilte"), "title"),
    "no title": (('title = "T"', ""), "title"),
    "no trials": (("num_trials = [1]", "num_trials = []"), "num_trials"),
    "trials of text": (("num_trials = [1]", 'num_trials = ["a"]'), "num_trials"),
    "no time": (("seconds_per_step = 1.0", ""), "seconds_per_step"),
    "negative time": (("seconds_per_step = 1.0", "seconds_per_step = -1"), "seconds_per_step"),
    "time is NaN": (("seconds_per_step = 1.0", "seconds_per_step = nan"), "seconds_per_step"),
    "probes are a number": (('[[probes]]\nsource = "crafting_tree_visible"', "probes = 1"), "probes"),
    "unknown probe": (("crafting_tree_visible", "crafting_three_visible"), "crafting_tree_visible"),
    "text elsewhere": (('consent = "c"', 'consent_file = "nowhere.txt"'), "nowhere.txt"),
    "both texts": (('consent = "c"', 'consent = "c"\nconsent_file = "c.txt"'), "consent"),
    "seed": (('title = "T"', 'title = "T"\nseed = -1'), "seed"),
    "signs that no font has": (('consent = "c"', 'consent = "\u4f60"'), "\u4f60"),
}
# Of a history, a run's configuration, ...: a change to the JSON, or the whole content.
HISTORY_FAULTS: dict[str, tuple[Callable[[list[str]], list[str]] | bytes, str]] = {
    "empty": (b"", "header"),
    "binary": (b"\xff\xfe\x00\x01\n", "no history"),
    "deep": (DEEP_JSON.encode() + b"\n", "no history"),
    "header is a list": (lambda lines: ["[]", *lines[1:]], "format"),
    "of another version": (lambda lines: [lines[0].replace("history 1", "history 9"), *lines[1:]], "format"),
    "no task": (lambda lines: [lines[0].replace('"task":', '"taks":'), *lines[1:]], "task"),
    "task is a number": (lambda lines: [_with(lines[0], task=3), *lines[1:]], "task"),
    "seed is text": (lambda lines: [_with(lines[0], seed="x"), *lines[1:]], "seed"),
    "seed of 33 bits": (lambda lines: [_with(lines[0], seed=2**32), *lines[1:]], "seed"),
    "two players": (lambda lines: [_with(lines[0], players=["a", "b"]), *lines[1:]], "players"),
    "config is a list": (lambda lines: [_with(lines[0], config=[]), *lines[1:]], "EnvConfig"),
    "action 256": (lambda lines: [lines[0], _with(lines[1], actions=[256])], "line 2"),
    "action is text": (lambda lines: [lines[0], _with(lines[1], actions=["up"])], "line 2"),
    "no actions": (lambda lines: [lines[0], _with(lines[1], actions=None)], "line 2"),
    "reward is NaN": (lambda lines: [lines[0], lines[1].replace("0.0", "NaN")], "line 2"),
    "time is a list": (lambda lines: [lines[0], _with(lines[1], time=[])], "line 2"),
    "event is text": (lambda lines: [lines[0], _with(lines[1], event="x")], "line 2"),
}
CONFIG_FAULTS: dict[str, tuple[Callable[[dict], object] | bytes, str]] = {
    "empty": (b"", "JSON"),
    "binary": (b"\xff\xfe\x00\x01", "UTF-8"),
    "deep": (DEEP_JSON.encode(), "deeply"),
    "list": (b"[]", "object"),
    "unknown field": (lambda config: config | {"sead": 1}, "seed"),
    "seed is text": (lambda config: config | {"seed": "x"}, "RunConfig.seed"),
    "seed of 33 bits": (lambda config: config | {"seed": 2**32}, "RunConfig.seed"),
    "environments are NaN": (lambda config: config | {"num_envs": float("nan")}, "RunConfig.num_envs"),
    "rate is a list": (lambda config: config | {"learner": config["learner"] | {"learning_rate": []}}, "learning_rate"),
    "unknown learner": (lambda config: config | {"learner": {"kind": "ppoo"}}, "ppo"),
    "agent is a number": (lambda config: config | {"agent": 3}, "agent"),
    "shard_params is text": (lambda config: config | {"shard_params": "no"}, "shard_params"),
    "height is huge": (lambda config: config | {"env": config["env"] | {"height": 10**9}}, "height"),
}
MANIFEST_FAULTS: dict[str, tuple[Callable[[dict], object] | bytes, str]] = {
    "empty": (b"", "damaged"),
    "deep": (DEEP_JSON.encode(), "deeply"),
    "list": (b"[]", "files"),
    "files is a list": (lambda manifest: manifest | {"files": []}, "files"),
    "written with backslashes": (
        lambda manifest: manifest | {"files": {name.replace("/", "\\"): of for name, of in manifest["files"].items()}},
        "names no file of params",
    ),
    "a file is not named": (
        lambda manifest: manifest | {"files": dict(list(manifest["files"].items())[:-1])},
        "is not in manifest.json",
    ),
    "a file is missing": (lambda manifest: manifest | {"files": manifest["files"] | {"params/x": "0"}}, "missing"),
    "another digest": (lambda manifest: manifest | {"files": dict.fromkeys(manifest["files"], "0")}, "as it was"),
    "no shapes": (lambda manifest: manifest | {"leaves": {"params": 3}}, "params"),
    "another shape": (lambda manifest: manifest | {"leaves": {"params": {}}}, "does not fit"),
}
SCORES_FAULTS: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "JSON"),
    "deep": (DEEP_JSON.encode(), "deeply"),
    "list": (b"[]", "schema"),
    "of another schema": (b'{"schema": "xworld.scores/1"}', "schema"),
    "no scores": (b'{"schema": "xworld.scores/2", "tasks": []}', "damaged"),
    "task set is text": (b'{"schema": "xworld.scores/2", "task_set": "x", "scores": {"a": 1}, "tasks": []}', "damaged"),
}
TASK_SETS = {
    "empty.npz": b"",
    "text.npz": b"no archive",
    "pickle.npz": pickle.dumps(Bomb()),
    "zip.npz": b"PK\x03\x04 and then nothing",
}


def _with(line: str, **changes: object) -> str:
    return json.dumps(json.loads(line) | changes)


def _changed(text: str, fault: object) -> bytes:
    """A good file with a fault."""
    if isinstance(fault, tuple):
        assert fault[0] in text
        return text.replace(*fault).encode()
    return fault.encode() if isinstance(fault, str) else fault


def _changed_json(text: str, fault: object) -> bytes:
    return json.dumps(fault(json.loads(text))).encode() if callable(fault) else fault


FAULTS: dict[str, dict[str, tuple]] = {
    "task": TASK_FAULTS,
    "keys": KEY_FAULTS,
    "study": STUDY_FAULTS,
    "history": HISTORY_FAULTS,
    "config": CONFIG_FAULTS,
    "manifest": MANIFEST_FAULTS,
    "scores": SCORES_FAULTS,
}


def _file(kind: str, name: str, suffix: str) -> str:
    """Where the file with a fault is: by its number, so that no word of a complaint is in its name."""
    return f"{kind}/{list(FAULTS[kind]).index(name)}{suffix}"


ROWS: dict[str, tuple[list[str], str]] = {
    **{f"task: {name}": (["tasks", "check", _file("task", name, ".toml")], of[1]) for name, of in TASK_FAULTS.items()},
    **{
        f"keys: {name}": (["play", "good.toml", "--keys", _file("keys", name, ".toml")], of[1])
        for name, of in KEY_FAULTS.items()
    },
    **{f"study: {name}": (["study", "run", _file("study", name, ".toml")], of[1]) for name, of in STUDY_FAULTS.items()},
    **{
        f"history: {name}": (["render", _file("history", name, ".jsonl")], of[1]) for name, of in HISTORY_FAULTS.items()
    },
    **{
        f"configuration: {name}": (["train", "--resume", _file("config", name, "")], of[1])
        for name, of in CONFIG_FAULTS.items()
    },
    **{
        f"manifest: {name}": (["evaluate", "--agent", _file("manifest", name, ""), "--task-set", "good.toml"], of[1])
        for name, of in MANIFEST_FAULTS.items()
    },
    **{
        f"scores: {name}": (
            ["evaluate", "--agent=noop", "--task-set=good.toml", "--normalise-by", _file("scores", name, ".json")],
            of[1],
        )
        for name, of in SCORES_FAULTS.items()
    },
    **{f"tasks in {name}": (["tasks", "show", f"sets/{name}"], "xworld.tasks.save") for name in TASK_SETS},
    "tasks in a set of another format": (["tasks", "show", "sets/other.toml"], "format"),
    "tasks of a damaged set": (["tasks", "show", "sets/cut.npz"], "damaged"),
    "tasks of a changed set": (["tasks", "show", "sets/changed.toml"], "content_hash"),
    # Names.
    "no command": ([], "train"),
    "unknown command": (["trian"], "Unrecognized options: trian. Available subcommands: train,"),
    "unknown option": (["evaluate", "--agnet", "random"], "Unrecognized options: --agnet"),
    "unknown tasks": (["tasks", "show", "romos4-13x13"], "rooms4-13x13"),
    "a name with a zero byte": (["tasks", "check", "a\0b.toml"], "cannot be read"),
    "a folder for a task file": (["tasks", "check", "sets"], "cannot be read: Is a directory"),
    "a task file that is not there": (["tasks", "check", "nowhere.toml"], "cannot be read: No such file"),
    "no task files": (["tasks", "check"], "Name one or more"),
    "tasks of a folder without a run": (["tasks", "show", "sets"], "config.json"),
    "ids of 32 bits": (["tasks", "show", "trivial:2147483648:1"], "2^31"),
    "ids that are none": (["tasks", "show", "trivial:a:b"], "whole numbers"),
    "unknown environment": (["tasks", "sample", "--env", "room1-7x7"], "rooms1-7x7"),
    "unknown split": (["tasks", "sample", "--split", "trian"], "train"),
    "unknown probe": (["tasks", "probes", "--show", "nothing"], "unknown probe task. Write one of: irreversible_"),
    "unknown group": (["tasks", "probes", "--group", "crafitng"], "crafting"),
    "unknown study": (["study", "show", "smal"], "small"),
    "unknown experiment": (["lab", "adaption"], "adaptation"),
    "unknown preset": (["train", "--preset", "demmo"], "demo"),
    "unknown player": (["evaluate", "--agent", "exprt", "--task-set", "good.toml"], "expert"),
    "player of no module": (["evaluate", "--agent", "no_module:f", "--task-set", "good.toml"], "ModuleNotFound"),
    "player of a module that fails": (["evaluate", "--agent", "broken:f", "--task-set", "good.toml"], "ZeroDivision"),
    "player that is none": (["evaluate", "--agent", "mine:number", "--task-set", "good.toml"], "no policy"),
    "agent that is a file": (["evaluate", "--agent", "good.toml", "--task-set", "good.toml"], "is a file"),
    "network that is none": (
        ["evaluate", "--agent", "agent", "--network", "mine:number", "--task-set", "good.toml"],
        "no network",
    ),
    "network that is no function": (
        ["evaluate", "--agent", "agent", "--network", "mine.py", "--task-set", "good.toml"],
        "module:function",
    ),
    "network of a scripted player": (
        ["evaluate", "--agent", "random", "--network", "mine:number", "--task-set", "good.toml"],
        "trained agents",
    ),
    "network of another agent": (
        ["evaluate", "--agent", "agent", "--network", "mine:network", "--task-set", "good.toml"],
        "a network of xworld's",
    ),
    # Numbers.
    "number is text": (["tasks", "sample", "--number", "two"], "Error parsing --number"),
    "number is zero": (["tasks", "sample", "--number", "0"], "--number is 0; write"),
    "number is huge": (["tasks", "sample", "--number", "1000000000000"], "number from 1 to 100000."),
    "number is negative": (["tasks", "show", "good.toml", "--number", "-1"], "--number is -1; write"),
    "number beyond the end": (
        ["tasks", "show", "good.toml", "--number", "1"],
        "--number is 1, and good.toml has not",
    ),
    "seed of 33 bits": (["tasks", "sample", "--seed", "4294967296"], "--seed is 4294967296; write"),
    "seed is negative": (["tasks", "show", "trivial", "--seed", "-1"], "--seed is -1; write"),
    "seed of an evaluation": (
        ["evaluate", "--agent", "random", "--seed", "-1", "--task-set", "good.toml"],
        "--seed is",
    ),
    "seed of a picture": (["render", "good.toml", "--seed", "9999999999"], "--seed is 9999999999; write"),
    "seed of a run": (["train", "--preset", "smoke", "--seed", "4294967296"], "RunConfig.seed is"),
    "seed of a game": (["play", "good.toml", "--seed", "-1"], "--seed is -1; write"),
    "no devices": (["train", "--preset", "smoke", "--num-devices", "0", "--run", "never"], "num_devices"),
    "no steps": (["train", "--preset", "smoke", "--total-steps", "0"], "total_steps"),
    "environments that do not divide": (["train", "--preset", "smoke", "--num-envs", "33"], "num_envs"),
    "rate below 0": (["train", "--preset", "smoke", "--learner.learning-rate", "-1"], "learning_rate"),
    "rate is NaN": (["train", "--preset", "smoke", "--learner.learning-rate", "nan"], "learning_rate"),
    "a process of none": (["train", "--preset", "smoke", "--num-processes", "2"], "--coordinator"),
    "frames too slow": (["render", "good.toml", "--agent", "noop", "--fps", "1e-9"], "--fps is 1e-09; write"),
    "frames too fast": (["render", "good.toml", "--agent", "noop", "--fps", "inf"], "--fps is inf; write"),
    "a window too small": (["play", "good.toml", "--size", "10", "10"], "320"),
    "a window too large": (["play", "good.toml", "--size", "100000", "100000"], "16384"),
    "pace": (["play", "good.toml", "--pace", "-1"], "--pace is -1.0; write"),
    "no tasks": (["evaluate", "--agent", "random", "--task-set", "good.toml", "--num-tasks", "0"], "number of tasks"),
    "too many tasks": (
        ["evaluate", "--agent", "random", "--task-set", "good.toml", "--num-tasks", "9"],
        "write 1 to 1",
    ),
    "no trials": (["evaluate", "--agent", "random", "--task-set", "good.toml", "--num-trials", "0"], "num_trials"),
    "trials to inspect": (["inspect", "pretrained", "--num-trials", "0"], "--num-trials is 0"),
    "no repetitions": (["evaluate", "--agent", "random", "--task-set", "good.toml", "--repetitions", "0"], "num_rep"),
    "no batch": (["evaluate", "--agent", "random", "--task-set", "good.toml", "--batch-size", "0"], "batch_size"),
    # Options that do not go together, and places.
    "preset and resume": (["train", "--preset", "smoke", "--resume", "agent"], "exclude"),
    "greedy but scripted": (["evaluate", "--agent", "random", "--greedy", "--task-set", "good.toml"], "trained agents"),
    "no task set": (["evaluate", "--agent", "random"], "--task-set"),
    "agent of a history": (["render", "good.jsonl", "--agent", "random"], "a history has been played already"),
    "suffix of a picture": (["render", "good.toml", "--output", "x.jpg"], ".png"),
    "suffix of a film": (["render", "good.toml", "--agent", "noop", "--output", "x.png"], ".gif"),
    "suffix of a history": (["play", "good.toml", "--history", "x.txt"], ".jsonl"),
    "a history that is there": (["play", "good.toml", "--history", "good.jsonl"], "there already"),
    "watch and partner": (["play", "good.toml", "--watch", "noop", "--partner", "noop"], "exclude"),
    "agent that is not there": (["play", "good.toml", "--play-as", "3"], "name agents of [0], each once"),
    "resume of no run": (["train", "--resume", "sets"], "holds no training run"),
    "run that has no folder": (["finetune", "nowhere", "--task-set", "good.toml"], "holds no training run"),
    "participant with a name": (["study", "run", "small", "--participant", "Ada Lovelace"], "looks like"),
    "participant without one": (["study", "run", "small", "--participant", ""], "--participant: '' looks like"),
    "sessions of nobody": (["study", "report", "sets"], "no sessions"),
    "a journal that is damaged": (["study", "report", "people"], "damaged"),
    "a folder below a file": (["tasks", "sample", "--env", "trivial", "--output", "good.toml/x"], "cannot be written"),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with good files and bad ones."""
    root = tmp_path_factory.mktemp("bad")
    config = EnvConfig(height=4, width=5)
    task = parse(TASK, config)
    for name in (*FAULTS, "sets", "people/P01"):
        (root / name).mkdir(parents=True)
    (root / "good.toml").write_text(TASK)
    (root / "mine.py").write_text(MINE)
    (root / "broken.py").write_text("1 / 0\n")
    write_history(root / "good.jsonl", History(Header(config, task, 0, ("person",)), (Step((0,), (0.0,), 0, 1.0),)))

    for kind, text, faults in (("task", TASK, TASK_FAULTS), ("keys", KEYS, KEY_FAULTS), ("study", STUDY, STUDY_FAULTS)):
        for name, (fault, _) in faults.items():
            (root / _file(kind, name, ".toml")).write_bytes(_changed(text, fault))
    lines = (root / "good.jsonl").read_text().splitlines()
    for name, (change, _) in HISTORY_FAULTS.items():
        content = "".join(line + "\n" for line in change(lines)).encode() if callable(change) else change
        (root / _file("history", name, ".jsonl")).write_bytes(content)
    for name, (content, _) in SCORES_FAULTS.items():
        (root / _file("scores", name, ".json")).write_bytes(content)
    _write_agents(root)
    _write_sets(root / "sets", config, task)
    (root / "people" / "P01" / "journal.jsonl").write_bytes(DEEP_JSON.encode() + b"\n")
    return root


MINE = """
from dataclasses import dataclass

@dataclass(frozen=True)
class Network:
    def init(self): ...
    start_memory = is_reset = encode_briefing = step = unroll = init

def number(env):
    return 3

def network(env):
    return Network()
"""


def _write_agents(root: Path) -> None:
    """An agent for the tasks of `good.toml`, and ones with damaged manifests; runs with damaged configurations."""
    run = PRESETS["smoke"]()
    agent = make_agent(run.agent, EnvConfig(height=4, width=5, max_objects=9, max_rules=1, max_doors=1))
    params = jax.tree.map(lambda leaf: np.zeros(leaf.shape, leaf.dtype), jax.eval_shape(agent.init, jax.random.key(0)))
    save(root / "agent", agent, params)
    for name, (change, _) in MANIFEST_FAULTS.items():
        copy = root / _file("manifest", name, "")
        shutil.copytree(root / "agent", copy)
        (copy / "manifest.json").write_bytes(_changed_json((copy / "manifest.json").read_text(), change))
    for name, (change, _) in CONFIG_FAULTS.items():
        copy = root / _file("config", name, "")
        copy.mkdir()
        (copy / "config.json").write_bytes(_changed_json(to_json(run), change))


def _write_sets(folder: Path, config: EnvConfig, task) -> None:
    for name, content in TASK_SETS.items():
        (folder / name).write_bytes(content)
    (folder / "other.toml").write_text('format = "xworld tasks 9"\ntasks = []\n')
    whole = save_tasks(folder / "whole.npz", TaskSet.from_tasks([task]), config).read_bytes()
    (folder / "cut.npz").write_bytes(whole[: len(whole) // 2])
    text = save_tasks(folder / "whole.toml", TaskSet.from_tasks([task]), config).read_text()
    (folder / "changed.toml").write_text(text.replace("trial_length = 12", "trial_length = 13"))


def test_there_are_as_many_rows_as_were_asked_for():
    assert len(ROWS) >= 120


def test_words_say_more_than_what_was_typed():
    """A line that only repeats an argument, such as the name of a file, would have words out of it too."""
    typed = [name for name, (arguments, words) in ROWS.items() if any(words in argument for argument in arguments)]
    assert not typed


def _files(folder: Path) -> dict[Path, tuple[int, int]]:
    """When all files were written and their sizes, but of what Python keeps of modules."""
    stats = {path: path.stat() for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts}
    return {path: (stat.st_mtime_ns, stat.st_size) for path, stat in stats.items()}


@pytest.mark.parametrize("name", ROWS)
def test_bad_input_is_one_line_and_changes_nothing(name, folder, monkeypatch, capsys):
    arguments, words = ROWS[name]
    monkeypatch.chdir(folder)
    before = _files(folder)
    capsys.readouterr()
    try:
        status = main(arguments)
    except SystemExit as stop:  # tyro's own
        status = stop.code
    said = capsys.readouterr()
    assert status == 2, said
    assert said.err.startswith("xworld: ") and said.err.count("\n") == 1, said.err
    assert words in said.err
    assert "Traceback" not in said.err and "allow_pickle" not in said.err and "\x1b" not in said.err
    assert _files(folder) == before


def test_what_is_written_of_a_task_is_unharmed_by_a_mark_and_other_line_ends(folder, monkeypatch, capsys):
    """As Notepad and PowerShell save files."""
    monkeypatch.chdir(folder)
    path = folder / "marked.toml"
    path.write_bytes(b"\xef\xbb\xbf" + TASK.replace("\n", "\r\n").encode())
    assert main(["tasks", "check", "marked.toml"]) == 0
    path.unlink()
