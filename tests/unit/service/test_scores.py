"""Scores as a table that no program of tables executes."""

import csv
import io

import pytest

from service.scores import harmless, render_table


@pytest.mark.parametrize("text", ["=1+1", "+cmd", "-cmd|'/c calc'!A1", "@SUM(A1)", "\tx", "\r=1"])
def test_what_looks_like_a_formula_is_quoted(text):
    assert harmless(text) == f"'{text}"


@pytest.mark.parametrize("text", ["", "-1.5", "+3e-7", "-inf", "nan", "nucleus", "a=b"])
def test_numbers_and_words_are_left(text):
    assert harmless(text) == text


def test_every_leaf_is_a_row():
    scores = {"cells": {"count": 3, "=x": None}, "regions": [{"name": "=a", "area_mm2": 0.5}]}
    rows = list(csv.reader(io.StringIO(render_table(scores))))
    assert rows == [
        ["name", "value"],
        ["cells.count", "3"],
        ["cells.=x", ""],
        ["regions.0.name", "'=a"],
        ["regions.0.area_mm2", "0.5"],
    ]
