"""All Spaces of a Hub: which of them run, what they are given, and where they are found."""

import asyncio
import contextlib
import ipaddress
import logging
import re
import secrets
import shutil
import socket
import tempfile
import threading
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import select
from sqlalchemy.orm import Session

from utils.hub.checkout import check_out
from utils.hub.errors import HubError, invalid, repo_not_found
from utils.hub.hub import Hub
from utils.hub.sandbox import NoSandbox
from utils.hub.spaces import config, engines
from utils.hub.spaces.config import Unfit
from utils.hub.spaces.inside import pipe
from utils.hub.spaces.space import STARTING, Plan, Space
from utils.hub.supervised import Limits
from utils.hub.tables import Repo, SpaceSetting, SpaceVariable, now

log = logging.getLogger("pathshala.hub")
SLEEP_TIME = 48 * 3600  # seconds without a visitor, as on the real Hub
AT_ONCE = 4  # Spaces that run at the same time
LARGEST = 5 << 30  # bytes of a Space's files together
LOOK = 0.5  # seconds between two looks at what was pushed
MOST_VARIABLES, LONGEST_VALUE = 200, 32_768  # of one Space; characters
NAME = re.compile("[A-Za-z_][A-Za-z0-9_]{0,199}")
NEEDS_PRO = (
    "Payment required: a Gradio or Docker Space runs on a computer of the Hub, which takes a PRO subscription (Team or "
    "Enterprise for an organization). Static Spaces are free."
)


@dataclass(frozen=True)
class Options:
    """How a Hub runs Spaces. `free` is whether everybody may have them run, as the real Hub no longer lets them."""

    limits: Limits = Limits(memory=4 << 30)
    free: bool = True
    at_once: int = AT_ONCE


class Spaces:
    """The Spaces of one Hub. They run as soon as it is `opened`; until then they only have their settings."""

    def __init__(self, hub: Hub, options: Options = Options()):  # noqa: B008 - frozen
        self.hub, self.options = hub, options
        self.folder = hub.data / "spaces"
        self.password = secrets.token_urlsafe()  # by which the Hub knows its own front
        self._spaces: dict[int, Space] = {}
        self._servers: dict[int, asyncio.Server] = {}  # by the Space's port
        self._ports: dict[int, int] = {}  # the Space's port by the number of its repo
        self._lock = threading.RLock()
        self._opening = threading.Lock()
        self._closing = threading.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._listen_on, self.hub_address = "127.0.0.1", ("127.0.0.1", 0)
        self._uplink: Path | None = None  # by which apps in a sandbox reach the Hub

    # The Hub begins and ends

    async def open(self, listen_on: str, port: int) -> None:
        """Called in the Hub's event loop when it serves at this address."""
        self._loop, self._listen_on = asyncio.get_running_loop(), listen_on
        anywhere = ipaddress.ip_address(listen_on).is_unspecified
        own = ("::1" if ":" in listen_on else "127.0.0.1") if anywhere else listen_on
        self.hub_address = (own, port)
        with self.hub.db() as db:
            known = set(db.scalars(select(Repo.folder).where(Repo.kind == "space")))
            # What lies here already runs when somebody comes; what is pushed from now on runs at once.
            for repo in db.scalars(select(Repo).where(Repo.kind == "space")):
                self._space(repo).noticed = repo.sha
        if self.folder.is_dir():
            for folder in self.folder.iterdir():
                if folder.name not in known:
                    shutil.rmtree(folder, ignore_errors=True)
        if self.contained and hasattr(socket, "AF_UNIX"):
            self._place = tempfile.TemporaryDirectory(prefix="hub-")  # a socket's path may not be long
            self._uplink = Path(self._place.name) / "hub"
            way = pipe(lambda: asyncio.open_connection(*self.hub_address))
            self._uplink_server = await asyncio.start_unix_server(way, self._uplink)
        threading.Thread(target=self._look_around, daemon=True).start()

    def close(self) -> None:
        """Ends all Spaces, and returns when they are gone."""
        self._closing.set()
        with self._lock:
            ending = [threading.Thread(target=space.rest, args=("SLEEPING",)) for space in self._spaces.values()]
        for thread in ending:
            thread.start()
        for thread in ending:
            thread.join()
        if self._uplink:
            self._place.cleanup()

    @property
    def is_open(self) -> bool:
        return self._loop is not None and not self._closing.is_set()

    @property
    def contained(self) -> bool:
        """Whether apps run in a sandbox: where others than the owner of this machine can push them."""
        return not ipaddress.ip_address(self._listen_on).is_loopback

    def _look_around(self) -> None:
        """Starts what was pushed, and ends what was deleted."""
        while not self._closing.wait(LOOK):
            try:
                with self.hub.db() as db:
                    heads = dict(db.execute(select(Repo.id, Repo.sha).where(Repo.kind == "space")).tuples().all())
                    with self._lock:
                        noticed = {number: space.noticed for number, space in self._spaces.items()}
                    for number, head in heads.items():
                        if noticed.get(number) != head and (repo := db.get(Repo, number)):
                            self.notice(repo)
                for number in noticed.keys() - heads.keys():
                    self._forget(number)
            except Exception as error:
                log.error("Spaces were not looked after", exc_info=error)

    def _forget(self, number: int) -> None:
        space = self._spaces.pop(number)
        space.rest("STOPPED")
        shutil.rmtree(space.folder, ignore_errors=True)
        if (port := self._ports.pop(number, None)) and (server := self._servers.pop(port, None)):
            self._loop.call_soon_threadsafe(server.close)

    # One Space

    def _space(self, repo: Repo) -> Space:
        with self._lock:
            if repo.id not in self._spaces:
                self._spaces[repo.id] = Space(self.folder / repo.folder)
            return self._spaces[repo.id]

    def of(self, repo: Repo) -> Space:
        """The Space, in the stage that it is in now."""
        self.notice(repo)
        return self._space(repo)

    def notice(self, repo: Repo) -> None:
        """Runs the last commit, if it is a new one."""
        space = self._space(repo)
        if space.noticed == repo.sha or not self.is_open:
            return
        # Read anew, one after the other: who was slow to get here must not go back to an older commit.
        with self._lock, self.hub.db() as db:
            current = db.get(Repo, repo.id)
            if current is None or space.noticed == current.sha:
                return
            space.noticed = current.sha
            paused = self._setting(db, current).paused
        if not paused:
            self.start(current)

    def runtime(self, db: Session, repo: Repo) -> dict:
        """The stage and what belongs to it, as the API tells it."""
        stage, reason = self.stage(db, repo)
        setting = self._setting(db, repo)
        hardware = None if stage == "NO_APP_FILE" else "cpu-basic"
        shown = {
            "stage": stage,
            "hardware": {"current": hardware if stage in ("RUNNING", *STARTING) else None, "requested": "cpu-basic"},
            "storage": None,
            "gcTimeout": SLEEP_TIME if setting.sleep_time is None else setting.sleep_time,
            "replicas": {"current": int(stage == "RUNNING"), "requested": 1},
        }
        return shown | ({"errorMessage": reason} if reason else {})

    def stage(self, db: Session, repo: Repo) -> tuple[str, str]:
        """The stage, and in words what is wrong, if anything is."""
        space = self.of(repo)
        if space.stage != "SLEEPING":
            return space.stage, space.reason
        if self._setting(db, repo).paused:
            return "PAUSED", ""
        try:
            wanted = self._config(repo)
        except Unfit as unfit:
            return unfit.stage, str(unfit)
        return ("RUNNING" if wanted.sdk == "static" else "SLEEPING"), ""

    def _config(self, repo: Repo) -> config.Config:
        with self.hub.git(repo) as git:
            files = {entry.path: entry for entry in git.files(repo.sha)}
        return config.read(repo.card, files)

    def wake(self, db: Session, repo: Repo) -> None:
        """Starts it for a visitor, if it sleeps."""
        if self.stage(db, repo)[0] == "SLEEPING":
            self.start(repo)

    # What its owner decides: first noted (the database), then done (the app), so that none waits for the other.

    def set_paused(self, db: Session, repo: Repo, paused: bool) -> None:
        """Raises HubError 400 for a static one, 402 where running it costs."""
        self._must_run(repo)
        if not paused:
            self.must_be_free(repo.card.get("sdk"))
        self._change(db, repo).paused = paused

    def restart(self, repo: Repo, *, factory: bool = False) -> None:
        """Starts it anew, whatever its stage; `factory`: with nothing left of earlier runs."""
        space = self._space(repo)
        space.rest("SLEEPING")
        if factory:
            shutil.rmtree(space.folder, ignore_errors=True)
        space.noticed = repo.sha
        self.start(repo)

    def pause(self, repo: Repo) -> None:
        """Ends the app until it is restarted."""
        self._space(repo).rest("PAUSED")

    def set_sleep_time(self, db: Session, repo: Repo, seconds: int) -> None:
        """Seconds without a visitor after which it sleeps; -1 for never. Raises HubError 400 for a static one."""
        self._must_run(repo)
        self._change(db, repo).sleep_time = max(seconds, -1)
        self._space(repo).sleep_time = _patience(seconds)

    def must_be_free(self, sdk: str | None) -> None:
        """Raises HubError 402 where a Space of this SDK is not to be had for nothing."""
        if sdk != "static" and not self.options.free:
            raise HubError(402, NEEDS_PRO)

    @staticmethod
    def _must_run(repo: Repo) -> None:
        if repo.card.get("sdk") == "static":
            raise invalid("A static Space always runs: it can be neither paused nor restarted nor put to sleep")

    def start(self, repo: Repo) -> None:
        """Runs the last commit, in the background. Of a static one nothing runs: its files are served as they are."""
        space, number = self._space(repo), repo.id
        if repo.card.get("sdk") == "static":
            space.rest("SLEEPING")
        elif self.is_open:
            space.start(lambda: self._plan(number, space), lambda plan, folder: self._lay_out(number, plan, folder))

    def _plan(self, number: int, space: Space) -> Plan:
        """What to run, as soon as there is room to run it. Raises Unfit and NoSandbox."""
        with self.hub.db() as db:
            self._config(self._repo(db, number))
        self._make_room(space)
        if self.contained and not self._uplink:
            raise NoSandbox("There is no sandbox for Spaces on this system, and others than its owner come in here")
        with self.hub.db() as db:
            repo = self._repo(db, number)
            space.sleep_time = _patience(self._setting(db, repo).sleep_time)
            own, port = self.variables_of(db, repo), self.port(repo)
            host, at = self.hub_address
            owner, name = repo.full_name.split("/")
            own |= {
                "SPACE_ID": repo.full_name,
                "SPACE_HOST": f"{host}:{port}",
                "SPACE_AUTHOR_NAME": owner,
                "SPACE_REPO_NAME": name,
                "SPACE_TITLE": str(repo.card.get("title") or name),
                "SPACE_CREATOR_USER_ID": f"{repo.creator_id or repo.owner_id:024x}",
                "HF_ENDPOINT": f"http://{f'[{host}]' if ':' in host else host}:{at}",
            }
            return Plan(
                commit=repo.sha,
                config=self._config(repo),
                environment=own,
                limits=self.options.limits,
                hub_port=at,
                hub_socket=self._uplink,
            )

    def _make_room(self, newcomer: Space) -> None:
        """Waits until one more may run; the one that nobody has visited for the longest time goes to sleep for it."""
        while not self._closing.wait(0.1) and not newcomer.leaving:
            with self._lock:
                others = [space for space in self._spaces.values() if space is not newcomer and space.holds_room]
                if len(others) < self.options.at_once:
                    newcomer.holds_room = True
                    return
                idle = [space for space in others if space.stage == "RUNNING" and not space.visitors]
            if idle:
                max(idle, key=lambda space: space.idle).rest("SLEEPING")

    def _lay_out(self, number: int, plan: Plan, folder: Path) -> list[str]:
        with self.hub.db() as db:
            repo = self._repo(db, number)
            shutil.rmtree(folder, ignore_errors=True)
            check_out(self.hub, db, repo, plan.commit, folder, most=LARGEST)
            sdk, version = plan.config.sdk, repo.card.get("sdk_version")
        remarks = []
        if sdk == "streamlit":
            remarks.append("sdk: streamlit is run here as before; the real Hub runs Streamlit by sdk: docker now")
        if sdk in ("gradio", "streamlit") and version:
            remarks.append(f"sdk_version: {version} is not installed: the Hub's own {sdk} runs this Space")
        if sdk != "docker":
            with contextlib.suppress(OSError, UnicodeDecodeError):
                for line in engines.missing((folder / "requirements.txt").read_text(encoding="utf-8")):
                    remarks.append(f"requirements.txt: {line} is not what the Hub has, and nothing is installed here")
            if (folder / "packages.txt").exists():
                remarks.append("packages.txt: nothing is installed here")
        return remarks

    def _repo(self, db: Session, number: int) -> Repo:
        repo = db.get(Repo, number)
        if repo is None:
            raise repo_not_found()
        return repo

    def _setting(self, db: Session, repo: Repo) -> SpaceSetting:
        return db.get(SpaceSetting, repo.id) or SpaceSetting(repo_id=repo.id, paused=False)

    def _change(self, db: Session, repo: Repo) -> SpaceSetting:
        return db.merge(self._setting(db, repo))

    # Variables and secrets

    def variables_of(self, db: Session, repo: Repo) -> dict[str, str]:
        """All that the app finds in its environment."""
        rows = db.scalars(select(SpaceVariable).where(SpaceVariable.repo_id == repo.id).order_by(SpaceVariable.secret))
        return {row.key: row.value for row in rows}

    def variables(self, db: Session, repo: Repo, *, secret: bool) -> list[SpaceVariable]:
        rows = select(SpaceVariable).where(SpaceVariable.repo_id == repo.id, SpaceVariable.secret == secret)
        return list(db.scalars(rows.order_by(SpaceVariable.key)))

    def set_variable(
        self, db: Session, repo: Repo, key: str, value: str, description: str | None = None, *, secret: bool
    ) -> None:
        """Sets one, with which a running app starts anew. Raises HubError 400."""
        if not NAME.fullmatch(key) or "\0" in value or len(value) > LONGEST_VALUE:
            raise invalid(f"{key[:50]!r} cannot be a variable: a name is of letters, digits and _, a value is text")
        row = db.get(SpaceVariable, (repo.id, key, secret))
        if row is None:
            if len(self.variables(db, repo, secret=secret)) >= MOST_VARIABLES:
                raise invalid(f"A Space has at most {MOST_VARIABLES} variables")
            row = SpaceVariable(repo_id=repo.id, key=key, secret=secret)
            db.add(row)
        row.value, row.description, row.updated_at = value, description, now()
        db.flush()

    def delete_variable(self, db: Session, repo: Repo, key: str, *, secret: bool) -> None:
        """Raises HubError 404."""
        row = db.get(SpaceVariable, (repo.id, key, secret))
        if row is None:
            raise HubError(404, f"This Space has no {'secret' if secret else 'variable'} {key[:100]}")
        db.delete(row)
        db.flush()

    def environment_changed(self, repo: Repo) -> None:
        """Starts a running app anew; to be called when the change is in the database."""
        if self._space(repo).active:
            self.start(repo)

    # Where it is found

    def port(self, repo: Repo) -> int | None:
        """The Space's own port, listening from the first time that somebody asks for it on. None for a closed Hub."""
        if not self.is_open:
            return None
        with self._opening:
            if repo.id not in self._ports:
                with self.hub.db() as db:
                    known = self._change(db, repo)
                    listener = self._listen(known.port)
                    known.port = listener.getsockname()[1]
                serving = asyncio.run_coroutine_threadsafe(self._serve(listener), self._loop)
                self._servers[known.port] = serving.result(10)
                self._ports[repo.id] = known.port
            return self._ports[repo.id]

    def _listen(self, wanted: int | None) -> socket.socket:
        from utils.hub.serve import listen

        if wanted:
            with contextlib.suppress(OSError):
                return listen(self._listen_on, wanted)
        return listen(self._listen_on, 0)

    async def _serve(self, listener: socket.socket) -> asyncio.Server:
        from utils.hub.spaces.front import LONGEST_HEAD, Front

        return await asyncio.start_server(Front(self).serve, sock=listener, limit=LONGEST_HEAD)

    def number_at(self, port: int) -> int | None:
        """Which repo's Space is found at this port."""
        return next((number for number, taken in self._ports.items() if taken == port), None)

    def host(self, repo: Repo, seen_as: str) -> str | None:
        """The Space's address, on the host by which the caller knows the Hub."""
        port = self.port(repo)
        return f"http://{f'[{seen_as}]' if ':' in seen_as else seen_as}:{port}" if port else None


def _patience(chosen: int | None) -> float | None:
    """Seconds that a Space runs without a visitor, None for any number of them."""
    return None if chosen == -1 else float(SLEEP_TIME if chosen is None else chosen)


def subdomain(repo: Repo) -> str:
    """What the real Hub would call it below hf.space."""
    return re.sub(r"[^a-z0-9]+", "-", repo.full_name.lower()).strip("-")
