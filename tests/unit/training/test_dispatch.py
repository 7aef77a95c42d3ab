"""`python -m training` finds a task's commands and nothing else."""

import pytest

from training.__main__ import TASKS, main


def test_an_unknown_task_is_refused_with_the_known_ones(capsys):
    with pytest.raises(SystemExit) as stop:
        main(["alchemy"])
    assert stop.value.code == 2
    told = capsys.readouterr().err
    assert all(task in told for task in TASKS)


def test_help_is_no_error(capsys):
    with pytest.raises(SystemExit) as stop:
        main(["--help"])
    assert stop.value.code == 0
    assert "nuclei" in capsys.readouterr().err


@pytest.mark.parametrize("task", sorted(TASKS))
def test_every_task_has_the_four_commands(task, capsys):
    with pytest.raises(SystemExit) as stop:
        main([task, "--help"])
    assert stop.value.code == 0
    shown = capsys.readouterr().out
    assert all(command in shown for command in ("prepare", "train", "evaluate", "export"))
