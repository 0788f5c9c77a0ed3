"""What chapter 01 says of its results is what a reader sees: the numbers in its prose hold for the model as shipped."""

import ast

import pytest


@pytest.fixture(scope="module")
def said(said_in):
    return said_in("01_what_is_hugging_face")


def test_the_three_lines_say_positive(said):
    (answer,) = ast.literal_eval(said["result"])
    assert answer["label"] == "POSITIVE" and answer["score"] > 0.99


def test_nobody_has_solved_the_first_exercise_beforehand(said):
    assert said["try-negative"].startswith("✗ POSITIVE")


def test_two_opposite_bangla_sentences_look_the_same_to_the_model(said):
    happy, sad = (line.split(" → ")[1] for line in said["opposites"].splitlines())
    assert happy == sad and ast.literal_eval(sad)["score"] > 0.9
    english, happy, sad = map(ast.literal_eval, said["tokens"].splitlines())
    assert happy == sad == ["[UNK]"] * 3 and "[UNK]" not in english


def test_an_angry_comment_is_positive_with_confidence(said):
    answer = ast.literal_eval(said["mixed"].splitlines()[0])
    assert answer["label"] == "POSITIVE" and answer["score"] > 0.9


def test_by_hand_and_in_one_line_give_the_same(said):
    by_hand, at_once = said["pipeline-by-hand"].splitlines()
    assert by_hand == at_once


def test_last_exercise_has_a_solution_and_is_not_solved_yet(said):
    assert "✗" in said["try-bangla"]
