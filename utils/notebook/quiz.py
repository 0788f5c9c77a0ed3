"""A chapter's quiz questions, shown with jupyterquiz. They lie beside this file, so that no cell gives the key away."""

from importlib.resources import files

import yaml


def questions(chapter: str) -> dict[str, dict]:
    """The questions of a chapter ("01"): name → `question` and `answers` (`answer`, `correct`, `feedback`)."""
    text = files("utils.notebook").joinpath("quizzes", f"{chapter}.yml").read_text(encoding="utf-8")
    return yaml.safe_load(text)


def quiz(chapter: str, name: str) -> None:
    """Shows one question; a click on an answer says at once whether it is right, and why."""
    from jupyterquiz import display_quiz

    asked = questions(chapter)[name]
    answers = [{"correct": False} | answer for answer in asked["answers"]]
    display_quiz([{"type": "multiple_choice", "question": asked["question"], "answers": answers}])
