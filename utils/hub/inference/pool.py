"""Which models are in memory: each in a worker of its own, asked in turn, within limits, gone when nobody asks."""

import json
import logging
import multiprocessing
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from multiprocessing.context import BaseContext
from pathlib import Path
from tempfile import mkdtemp

import psutil

from utils.hub.errors import HubError
from utils.hub.inference.worker import run

log = logging.getLogger("pathshala.hub")
GUESS = 20.0  # seconds until a model answers, said before one was loaded here: importing torch and transformers
WATCH = 0.25  # seconds between two looks at a worker's memory
FINAL = {"result", "picture", "error"}
Key = tuple[int, str, str]  # repo, commit, task
NEVER_MIND = b"null"  # a question that is none: what a worker reads while it works takes the last one back


@dataclass(frozen=True)
class Limits:
    """What models may take of the machine."""

    memory: int = 3 << 30  # bytes of one worker
    seconds: float = 60  # of one answer
    loading: float = 180  # seconds
    idle: float = 300  # seconds without a question, after which a model leaves
    models: int = 3  # in memory at once
    waiting: int = 16  # questions to one model


def busy(message: str, seconds: float) -> HubError:
    return HubError(503, message, headers={"Retry-After": str(max(1, round(seconds)))})


class Loading(HubError):
    """503: the model is being loaded, and will answer in about `estimated_time` seconds."""

    def __init__(self, name: str, seconds: float):
        wait = {"Retry-After": str(max(1, round(seconds)))}
        super().__init__(503, f"Model {name} is currently loading", headers=wait)
        self.estimated_time = round(seconds, 1)


@dataclass
class Model:
    """One model, from the moment somebody asks for it."""

    key: Key
    name: str
    folder: Path
    began: float = field(default_factory=time.monotonic)
    used: float = field(default_factory=time.monotonic)
    ready: threading.Event = field(default_factory=threading.Event)  # or failed
    turn: threading.Lock = field(default_factory=threading.Lock)
    waiting: int = 0
    process: multiprocessing.Process | None = None
    pipe: multiprocessing.connection.Connection | None = None
    failed: HubError | None = None
    killed_for: str | None = None

    def kill(self, reason: str) -> None:
        self.killed_for = self.killed_for or reason
        if self.process:
            self.process.kill()

    def why_ended(self) -> HubError:
        if self.killed_for == "memory":
            return HubError(500, f"{self.name} was stopped: it took more memory than this Hub gives a model")
        if self.process:
            self.process.join(5)
        return HubError(500, f"The process of {self.name} ended (exit code {self.process and self.process.exitcode})")


class Pool:
    """The models of one Hub. Thread-safe."""

    def __init__(self, folder: Path, limits: Limits | None = None):
        self.folder, self.limits = folder, limits or Limits()
        shutil.rmtree(folder, ignore_errors=True)  # of a Hub that was killed
        self._models: dict[Key, Model] = {}
        self._lock = threading.Lock()
        self._took: list[float] = []  # seconds that the last models took to load
        self._watching = False
        self._closed = False

    def ask(
        self,
        key: Key,
        name: str,
        bring: Callable[[Path], None],
        question: dict,
        *,
        wait: bool,
    ) -> Iterator[dict]:
        """Asks the model; `bring` puts its files into a folder if it is not in memory yet.

        Yields the events of an answer, and last {"result": …} or {"picture": base64}. Closed before that, it takes the
        question back. Raises Loading if the model is not there yet, unless told to `wait`, and HubError: 422 from the
        model, 503 when too many ask, 504 past the time limit, 500 if the process died.
        """
        model = self._find(key, name, bring)
        if not model.ready.is_set():
            if not wait:
                raise Loading(name, self._left(model))
            model.ready.wait(self.limits.loading + 5)
        if model.failed:
            with self._lock:
                if self._models.get(key) is model:
                    del self._models[key]  # whoever asks next tries anew
            raise model.failed
        with self._turn(model):
            yield from self._converse(model, question)

    @contextmanager
    def _turn(self, model: Model) -> Iterator[None]:
        with self._lock:
            if model.waiting >= self.limits.waiting:
                raise busy(f"Too many requests wait for {model.name}", self.limits.seconds / 4)
            model.waiting += 1
        try:
            if not model.turn.acquire(timeout=self.limits.seconds):
                raise busy(f"{model.name} is busy", self.limits.seconds / 4)
            try:
                yield
            finally:
                model.used = time.monotonic()
                model.turn.release()
        finally:
            with self._lock:
                model.waiting -= 1

    def _converse(self, model: Model, question: dict) -> Iterator[dict]:
        deadline = time.monotonic() + self.limits.seconds
        done = False
        try:
            model.pipe.send_bytes(json.dumps(question).encode())
            while not done:
                if not model.pipe.poll(max(0, deadline - time.monotonic())):
                    model.kill("time")
                    self._forget(model)
                    done = True
                    raise HubError(504, f"{model.name} did not answer within {self.limits.seconds:g} seconds")
                message = json.loads(model.pipe.recv_bytes())
                done = not FINAL.isdisjoint(message)
                if "error" in message:
                    raise HubError(message["status"], message["error"])
                yield message
        except (EOFError, OSError) as error:
            done = True
            self._forget(model)
            raise model.why_ended() from error
        finally:
            if not done:  # whoever asked has left
                self._take_back(model)

    def _take_back(self, model: Model) -> None:
        deadline = time.monotonic() + 5
        with suppress(EOFError, OSError, ValueError):
            model.pipe.send_bytes(NEVER_MIND)
            while model.pipe.poll(max(0, deadline - time.monotonic())):
                if not FINAL.isdisjoint(json.loads(model.pipe.recv_bytes())):
                    return
        model.kill("time")
        self._forget(model)

    def _find(self, key: Key, name: str, bring: Callable[[Path], None]) -> Model:
        with self._lock:
            if self._closed:
                raise busy("The Hub is shutting down", 5)
            model = self._models.get(key)
            if model is None:
                self._make_room()
                self.folder.mkdir(parents=True, exist_ok=True)
                model = self._models[key] = Model(key, name, Path(mkdtemp(dir=self.folder)))
                threading.Thread(target=self._load, args=(model, bring), daemon=True).start()
                if not self._watching:
                    self._watching = True
                    threading.Thread(target=self._watch, daemon=True).start()
            model.used = time.monotonic()
            return model

    def _make_room(self) -> None:
        """Lets the model go that was not asked for longest. Raises HubError 503 if all are at work."""
        while len(self._models) >= self.limits.models:
            idle = [one for one in self._models.values() if one.ready.is_set() and not one.waiting]
            if not idle:
                raise busy("All the models this Hub has room for are at work", self.limits.seconds / 4)
            self._end(min(idle, key=lambda one: one.used))

    def _load(self, model: Model, bring: Callable[[Path], None]) -> None:
        try:
            bring(model.folder)
            here, there = CONTEXT.Pipe()
            model.pipe = here
            model.process = CONTEXT.Process(
                target=run, args=(there, model.key[2], str(model.folder), self.limits.memory), daemon=True
            )
            model.process.start()
            there.close()
            if not here.poll(self.limits.loading):
                model.kill("time")
                raise HubError(504, f"{model.name} was not loaded within {self.limits.loading:g} seconds")
            message = json.loads(here.recv_bytes())
            if "error" in message:
                raise HubError(message["status"], f"{model.name} cannot be loaded: {message['error']}")
            with self._lock:
                self._took = [*self._took[-9:], time.monotonic() - model.began]
        except HubError as error:
            model.failed = error
        except (EOFError, OSError):
            model.failed = model.why_ended()
        except Exception:
            log.exception("Loading %s failed", model.name)
            model.failed = HubError(500, "Internal error: the Hub's log says more")
        finally:
            model.used = time.monotonic()
            model.ready.set()
            if model.failed and model.process:
                model.process.kill()
            if self._closed:
                self._end(model)

    def _left(self, model: Model) -> float:
        with self._lock:
            usual = self._took[-1] if self._took else GUESS
        return max(1.0, usual - (time.monotonic() - model.began))

    def _forget(self, model: Model) -> None:
        with self._lock:
            self._end(model)

    def _end(self, model: Model) -> None:
        """Takes a model out of memory; to be called with the lock."""
        if self._models.get(model.key) is model:
            del self._models[model.key]
        if model.process:
            model.process.kill()
        if model.pipe and model.killed_for is None:
            model.pipe.close()
        shutil.rmtree(model.folder, ignore_errors=True)

    def _watch(self) -> None:
        """Ends what takes too much memory, and what nobody asks for any more; until no model is left."""
        while True:
            time.sleep(WATCH)
            with self._lock:
                now = time.monotonic()
                for model in list(self._models.values()):
                    idle = model.ready.is_set() and not model.waiting and now - model.used > self.limits.idle
                    if idle:
                        self._end(model)
                    elif model.process and model.process.pid and _own_memory(model.process.pid) > self.limits.memory:
                        log.warning("%s is stopped: more than %d bytes of memory", model.name, self.limits.memory)
                        model.kill("memory")
                if not self._models:
                    self._watching = False
                    return

    def loaded(self) -> list[str]:
        """The names of the models that are in memory."""
        with self._lock:
            return [model.name for model in self._models.values() if model.ready.is_set() and not model.failed]

    def close(self) -> None:
        with self._lock:
            self._closed = True
            for model in list(self._models.values()):
                self._end(model)
        shutil.rmtree(self.folder, ignore_errors=True)


def _own_memory(pid: int) -> int:
    """Bytes that are this process's alone: not the libraries that it shares with the server it was forked from."""
    try:
        used = psutil.Process(pid).memory_info()
    except psutil.Error:
        return 0
    return used.rss - getattr(used, "shared", 0)


def _context() -> BaseContext:
    """Forked from a server that has imported the libraries, where there is such a thing; else started anew."""
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["__main__", "utils.hub.inference.preload"])
    return context


CONTEXT = _context()
