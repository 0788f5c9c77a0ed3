"""Open JupyterLab on the course, with the workspace's local Hub running beside it."""

import os


def lab(arguments: list[str]) -> None:
    """Serve the course's folder in JupyterLab until Ctrl-C, holding the local Hub for as long.

    The Lab runs in this process, so that a Ctrl-C reaches Jupyter's own handler and nothing has to be passed on: the
    kernels stop, then the lease is given back.

    Args:
        arguments: JupyterLab's own options, `--no-browser` or `--port=9999`.

    Raises:
        CourseError: there is no course folder beside the installed package.
    """
    from jupyterlab.labapp import LabApp

    from utils.course.tree import root
    from utils.hub.local import LocalHub
    from utils.notebook.workspace import home

    course = root()
    os.chdir(course)
    with LocalHub.open(home()):
        os.environ["PATHSHALA_HOME"] = str(home())
        ours = [
            f"--ServerApp.root_dir={course}",
            "--LabApp.default_url=/lab/tree/chapters",
            "--ServerApp.answer_yes=True",
        ]
        LabApp.launch_instance([*ours, *arguments])
