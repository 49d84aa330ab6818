"""What a run writes about itself: rows are never lost without a word, and its folder is its own."""

from contextlib import ExitStack

import jax
import numpy as np
import pytest

from xworld import ConfigError
from xworld.base.files import locked
from xworld.training.logs.metrics import MetricsWriter, columns_of
from xworld.training.run.loop import _prepare

COLUMNS = ("update", "steps", "seconds", "score")
LIKE = {"params": jax.ShapeDtypeStruct((3,), np.float32)}


def write_rows(folder, *updates):
    writer = MetricsWriter(folder, COLUMNS)
    for update in updates:
        writer.write({"update": update, "steps": 8 * update, "score": 0.9 / update}, 1.0)


@pytest.mark.parametrize(
    ("reported", "missing"), [(("gradient_norm",), "loss"), (("loss", "trial_sums"), "gradient_norm")]
)
def test_a_learner_that_does_not_say_whether_it_diverges_is_refused(reported, missing):
    with pytest.raises(ConfigError, match=f"The learner reports no '{missing}', by which a run that div"):
        columns_of(reported, ())


def test_rows_go_on_after_the_last_checkpoint(tmp_path):
    write_rows(tmp_path, 1, 2, 3)
    writer = MetricsWriter(tmp_path, COLUMNS, update=2)
    assert [row["update"] for row in writer.rows] == [1, 2] and writer.best("score") == 0.9
    assert len((tmp_path / "metrics.csv").read_text().splitlines()) == 3


@pytest.mark.parametrize("content", [None, b""])
def test_lost_rows_are_said(tmp_path, content):
    write_rows(tmp_path, 1, 2)
    (tmp_path / "metrics.jsonl").unlink()
    if content is not None:
        (tmp_path / "metrics.jsonl").write_bytes(content)
    before = (tmp_path / "metrics.csv").read_bytes()
    with pytest.raises(ConfigError, match="forget which agent was its best"):
        MetricsWriter(tmp_path, COLUMNS, update=2)
    assert (tmp_path / "metrics.csv").read_bytes() == before


@pytest.mark.parametrize("line", ["[]", "{}", '{"update": "x"}', "[" * 100_000, "\ufffd"])
def test_a_damaged_row_is_named_and_nothing_is_lost(tmp_path, line):
    write_rows(tmp_path, 1, 2)
    path = tmp_path / "metrics.jsonl"
    rows = path.read_text().splitlines()
    path.write_text("\n".join([rows[0], line, rows[1]]) + "\n")
    before = path.read_bytes()
    with pytest.raises(ConfigError, match=r"metrics.jsonl, line 2 is no row of metrics"):
        MetricsWriter(tmp_path, COLUMNS, update=2)
    assert path.read_bytes() == before


@pytest.mark.parametrize("name", ["metrics.csv", "metrics.jsonl"])
def test_a_full_disk_is_one_line(tmp_path, name):
    writer = MetricsWriter(tmp_path, COLUMNS)
    (tmp_path / name).unlink()
    (tmp_path / name).symlink_to("/dev/full")
    with pytest.raises(ConfigError, match=f"{name} cannot be written: No space left on device. Make room"):
        writer.write({"update": 1, "steps": 8, "score": 0.5}, 1.0)


def test_a_folder_has_one_run_at_a_time(tmp_path):
    with ExitStack() as one, ExitStack() as other:
        _prepare(tmp_path / "run", LIKE, {}, False, one)
        with pytest.raises(ConfigError, match="run is in use by process"):
            _prepare(tmp_path / "run", LIKE, {}, False, other)
    with ExitStack() as later:
        _prepare(tmp_path / "run", LIKE, {}, False, later)  # nothing was left
    (tmp_path / "run" / "something").touch()
    with ExitStack() as another, pytest.raises(ConfigError, match="is not empty"):
        _prepare(tmp_path / "run", LIKE, {}, False, another)


def test_a_run_in_use_is_not_resumed(tmp_path, monkeypatch):
    monkeypatch.setattr("xworld.training.run.loop.load_config", lambda folder: None)
    monkeypatch.setattr("xworld.training.run.loop.check_outside", lambda folder, outside: None)
    with locked(tmp_path), ExitStack() as stack, pytest.raises(ConfigError, match="is in use by process"):
        _prepare(tmp_path, LIKE, {}, True, stack)
