"""nbgrader for this course: `solutions/` is the source, `exercises/` the release, a student's stubs are in Bangla."""

from pathlib import Path

c = get_config()  # noqa: F821 (given by traitlets)

c.CourseDirectory.course_id = "pathshala"
c.CourseDirectory.source_directory = "solutions"
c.CourseDirectory.release_directory = "exercises"
c.CourseDirectory.ignore = [".ipynb_checkpoints", "__pycache__", "*.pyc", "wrong_answers.yml"]
# SQLite gives up after 5 s when another process is writing; a class needs more patience.
c.CourseDirectory.db_url = f"sqlite:///{Path(__file__).with_name('gradebook.db')}?timeout=60"

c.ClearSolutions.code_stub = {
    "python": "# এখানে তোমার code লেখো, তারপর নিচের লাইনটা মুছে দাও।\n"
    'raise NotImplementedError("এই function এখনো লেখা হয়নি। লিখে থাকলে নিচের `raise` লাইনটা মুছেছ?")'
}
c.ClearSolutions.text_stub = "এখানে তোমার উত্তর লেখো।"
