"""Execute one notebook in a kernel of its own and measure it.

papermill's parts do the work: parameters, client, and an output file that is saved after every cell. Its
`execute_notebook` around them is not used, since (2.7) it takes any error output for a failure, that of a cell tagged
`raises-exception` too, and gives the kernel no environment of its own.
"""

import threading
import time
from collections.abc import Callable
from pathlib import Path

import psutil
from nbclient.exceptions import CellTimeoutError, DeadKernelError
from nbconvert.filters import strip_ansi
from papermill.clientwrap import PapermillNotebookClient
from papermill.engines import NotebookExecutionManager
from papermill.iorw import load_notebook_node
from papermill.parameterize import parameterize_notebook

from utils.course.report import Failure, Result


class Manager(NotebookExecutionManager):
    """papermill's manager, which remembers the cell that runs: a kernel that dies or hangs does not name it."""

    def __init__(self, nb, output: Path, on_cell: Callable[[int], None]):
        super().__init__(nb, output_path=str(output), progress_bar=False)
        self.on_cell = on_cell
        self.current: int | None = None
        self.error = ""

    def cell_start(self, cell, cell_index=None, **kwargs):
        super().cell_start(cell, cell_index, **kwargs)
        self.current = cell_index
        self.on_cell(cell_index)

    def cell_exception(self, cell, cell_index=None, **kwargs):
        super().cell_exception(cell, cell_index, **kwargs)
        shown = [strip_ansi("\n".join(output.traceback)) for output in cell.outputs if output.output_type == "error"]
        self.error = "\n".join(shown) or str(kwargs["exception"])


class PeakMemory(threading.Thread):
    """The highest resident memory seen of a kernel and all processes under it, sampled ten times a second.

    Pages that two of them share count twice, so it is an upper bound. The local Hub is no child of the kernel (the
    runner started it, detached) and is not counted, nor is what the Hub itself runs.
    """

    def __init__(self, client: PapermillNotebookClient):
        super().__init__(daemon=True)
        self.client, self.peak, self.done = client, 0, threading.Event()

    def run(self):
        while not self.done.wait(0.1):
            self.peak = max(self.peak, self.sample())

    def sample(self) -> int:
        pid = getattr(getattr(self.client.km, "provisioner", None), "pid", None)
        total = 0
        try:
            kernel = psutil.Process(pid) if pid else None
            family = [kernel, *kernel.children(recursive=True)] if kernel else []
        except psutil.Error:
            return 0
        for process in family:
            try:
                total += process.memory_info().rss
            except psutil.Error:  # ended since it was listed
                continue
        return total

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.done.set()
        self.join()


def execute(
    notebook: Path,
    output: Path,
    cwd: Path,
    environment: dict[str, str],
    parameters: dict[str, str],
    timeout: int,
    on_cell: Callable[[int, int], None],
) -> Result:
    """Execute a notebook; whatever becomes of it or of its kernel is in the result, never raised.

    The kernel's own output, below Python's, goes to `kernel.log` beside `cwd`: a crash's last words are there.

    Args:
        output: where the executed notebook is saved, after each cell.
        cwd: the kernel's working directory.
        environment: the kernel's environment variables.
        parameters: what papermill puts after the cell tagged `parameters`; a notebook without one takes none.
        timeout: seconds that one cell may take.
        on_cell: called with (index of the cell that starts, number of cells).
    """
    result = Result(notebook.stem)
    manager: Manager | None = None
    log = cwd.parent / "kernel.log"
    begin = time.monotonic()
    try:
        nb = load_notebook_node(str(notebook))
        result.cells = sum(map(_runs, nb.cells))
        if any("parameters" in cell.metadata.tags for cell in nb.cells):
            nb = parameterize_notebook(nb, parameters, kernel_name="python3", language="python")
        count = len(nb.cells)
        manager = Manager(nb, output, lambda index: on_cell(index, count))
        client = PapermillNotebookClient(
            manager,
            # This environment's kernel, whatever name the file was last saved with.
            kernel_name="python3",
            timeout=timeout,
            startup_timeout=120,
            # A graceful end takes a kernel with torch in it more than two seconds.
            shutdown_kernel="immediate",
            resources={"metadata": {"path": str(cwd)}},
        )
        manager.notebook_start()
        with PeakMemory(client) as memory, log.open("wb") as stream:
            try:
                client.execute(env=environment, stdout=stream, stderr=stream)
            finally:
                result.peak_mb = round(memory.peak / 1e6, 1)
                manager.notebook_complete()
        if manager.error:
            result.state, result.failure = "failed", _failure(manager, manager.error)
    except KeyboardInterrupt:
        result.state = "interrupted"
    except CellTimeoutError:
        result.state, result.failure = "failed", _failure(manager, f"cell টা {timeout} s এও শেষ হয়নি।")
    except DeadKernelError:
        lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
        words = [line for line in lines if not line.startswith("[IPKernelApp]")]
        said = "\n".join(["kernel বন্ধ হয়ে গেছে। RAM ফুরালে এমন হয়।", *words])
        result.state, result.failure = "failed", _failure(manager, said)
    except Exception as error:  # a file that is no notebook, a kernel that does not start
        result.state, result.failure = "failed", _failure(manager, f"{type(error).__name__}: {error}")
    result.seconds = round(time.monotonic() - begin, 1)
    return result


def _runs(cell) -> bool:
    """Whether Jupyter would execute the cell and number it."""
    return cell.cell_type == "code" and bool(cell.source.strip())


def _failure(manager: Manager | None, error: str) -> Failure:
    """The cell that was running, counted in the notebook as it is stored, without papermill's own cell."""
    if manager is None or manager.current is None:
        return Failure(0, "", error)
    seen = manager.nb.cells[: manager.current + 1]
    ours = [cell for cell in seen if _runs(cell) and "injected-parameters" not in cell.metadata.tags]
    return Failure(len(ours), seen[-1].source, error)
