"""git and git-lfs as people have them, against the Hub: clone, fetch, push, who may, and what is refused and how.

What git itself would not send is made by hand and sent over HTTP.
"""

import gzip
import hashlib
import os
import shutil
import socket
import subprocess
import uuid
import zlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.hub.conftest import TOKENS, Address

COURSE = Path(__file__).parents[2]
GIT_LFS = COURSE / ".tools" / "git-lfs" / "git_lfs" / "bin"
NONE = "0" * 40
BLOB, TREE, COMMIT, TAG, OFS_DELTA, REF_DELTA = 3, 2, 1, 4, 6, 7


@dataclass
class Git:
    """git in a folder, with a home of its own: no developer's configuration counts."""

    folder: Path
    home: Path
    hub: Address
    who: str | None = "rahim"

    def url(self, repo: str, who: str | None = "") -> str:
        who = self.who if who == "" else who
        login = f"{who.split(',')[0]}:{TOKENS[who]}@" if who else ""
        return self.hub.url.replace("://", f"://{login}") + f"/{repo}"

    def run(self, *words: str, fails: bool = False, **environment: str) -> str:
        """All that git says. An error of git is one here, unless it is to fail: then success is."""
        known = {
            "HOME": str(self.home),
            "PATH": os.pathsep.join([os.environ["PATH"], str(GIT_LFS)]),
            "GIT_CONFIG_GLOBAL": str(self.home / ".gitconfig"),
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_TERMINAL_PROMPT": "0",
            "LC_ALL": "C",
        }
        known |= {f"GIT_{role}_{part}": "rahim" for role in ("AUTHOR", "COMMITTER") for part in ("NAME", "EMAIL")}
        done = subprocess.run(
            ["git", *words], cwd=self.folder, env=known | environment, capture_output=True, text=True, timeout=60
        )
        said = done.stdout + done.stderr
        assert (done.returncode != 0) == fails, (words, said)
        return said

    def clone(self, repo: str, *options: str, who: str | None = "", **environment: str) -> "Git":
        folder = self.folder.parent / uuid.uuid4().hex[:8]
        self.run("clone", "-q", *options, self.url(repo, who), str(folder), **environment)
        return Git(folder, self.home, self.hub, self.who if who == "" else who)

    def write(self, **files: str | bytes) -> str:
        """Commits files, `a__b` for `a.b`; returns the commit's id."""
        for name, content in files.items():
            path = self.folder / name.replace("__", ".")
            path.write_bytes(content.encode() if isinstance(content, str) else content)
        self.run("add", ".")
        self.run("commit", "-q", "-m", " ".join(files))
        return self.head

    @property
    def head(self) -> str:
        return self.run("rev-parse", "HEAD").strip()

    def count(self) -> int:
        return int(self.run("rev-list", "--count", "HEAD"))


@pytest.fixture
def git(hub, tmp_path) -> Git:
    (tmp_path / "home").mkdir()
    (tmp_path / "work").mkdir()
    (tmp_path / "home" / ".gitconfig").write_text("[init]\n\tdefaultBranch = main\n[advice]\n\tdetachedHead = false\n")
    return Git(tmp_path / "work", tmp_path / "home", hub)


@pytest.fixture
def lfs(git) -> Git:
    there = shutil.which("git-lfs", path=os.pathsep.join([os.environ["PATH"], str(GIT_LFS)]))
    assert there, "git-lfs is missing: `make test` installs it, or install it yourself"
    git.run("lfs", "install", "--skip-repo")
    return git


# What works


@pytest.mark.parametrize(("kind", "prefix"), [("model", ""), ("dataset", "datasets/"), ("space", "spaces/")])
@pytest.mark.parametrize("suffix", ["", ".git"])
def test_what_is_pushed_the_api_shows_and_the_other_way_round(api, git, new_repo, kind, prefix, suffix):
    repo = new_repo(kind)
    here = git.clone(f"{prefix}{repo}{suffix}")
    assert here.head == api.repo_info(repo, repo_type=kind).sha
    head = here.write(README__md="---\nlicense: mit\ntags: [bangla]\n---\n", ক__txt="বাংলা")
    here.run("push")
    listed = getattr(api, f"list_{kind}s")(author="rahim", search=repo, filter="bangla")
    assert [row.id for row in listed] == [repo], "search knows it before anybody has looked at the repo"
    info = api.repo_info(repo, repo_type=kind)
    assert info.sha == head and {"license:mit", "bangla"} <= set(info.tags)
    assert [c.title for c in api.list_repo_commits(repo, repo_type=kind)] == ["README__md ক__txt", "initial commit"]
    path = api.hf_hub_download(repo, "ক.txt", repo_type=kind)
    assert Path(path).read_text() == "বাংলা"
    api.upload_file(repo_id=repo, repo_type=kind, path_in_repo="b.txt", path_or_fileobj=b"from the API")
    here.run("pull", "-q")
    assert (here.folder / "b.txt").read_text() == "from the API"
    here.run("fsck", "--strict")


def test_branches_tags_and_force(api, git, repo):
    here = git.clone(repo)
    first = here.head
    second = here.write(a="1")
    here.run("tag", "light")
    here.run("tag", "-a", "v1", "-m", "the first")
    here.run("push", "origin", "HEAD:refs/heads/dev/one", "--tags")
    refs = api.list_repo_refs(repo)
    assert {b.name: b.target_commit for b in refs.branches} == {"main": first, "dev/one": second}
    assert {t.name: t.target_commit for t in refs.tags} == {"light": second, "v1": second}
    there = git.clone(repo, "--branch", "v1")
    assert there.head == second and "the first" in there.run("tag", "-n")
    said = here.run("push", "origin", "HEAD:refs/heads/dev", fails=True)
    assert "remote: refs/heads/dev cannot stand beside another ref" in said
    here.run("push", "origin", ":dev/one", ":light")
    refs = api.list_repo_refs(repo)
    assert [r.name for r in (*refs.branches, *refs.tags)] == ["main", "v1"]
    here.run("push")
    here.run("commit", "-q", "--amend", "-m", "another second")
    assert "rejected" in here.run("push", fails=True)
    here.run("push", "--force")
    assert api.repo_info(repo).sha == here.head != second
    assert git.clone(repo).count() == 2


@pytest.mark.parametrize("version", ["0", "1", "2"])
def test_fetching_in_every_version_of_the_protocol(api, git, repo, version):
    here = git.clone(repo)
    for number in range(8):
        here.write(**{f"file{number}": str(number)})
    here.run("push")
    here.run("tag", "-a", "v1", "HEAD~2", "-m", "v1")
    here.run("push", "-q", "--tags")
    pull = api.create_pull_request(repo, title="A draft")
    api.upload_file(repo_id=repo, revision=pull.git_reference, path_in_repo="p", path_or_fileobj=b"proposed")
    git.run("config", "--global", "protocol.version", version)

    there = git.clone(repo, "--depth", "1")
    assert (there.count(), there.head) == (1, here.head)
    there.run("fetch", "-q", "--depth", "3")
    assert there.count() == 3
    there.run("fetch", "-q", "--deepen", "2")
    assert there.count() == 5
    new = there.write(more="from a shallow clone")
    there.run("push")
    here.run("pull", "-q")
    assert here.head == new
    here.write(yet_more="1")
    here.run("push", "-q")
    there.run("pull", "-q")
    assert there.count() == 7
    there.run("fetch", "-q", "--unshallow")
    assert there.count() == 11
    there.run("fetch", "-q", "origin", pull.git_reference)
    assert there.run("show", "FETCH_HEAD:p") == "proposed"
    there.run("fetch", "-q", "origin", new)
    there.run("fsck", "--strict")

    tagged = git.clone(repo, "--shallow-exclude", "v1", "--no-tags")
    assert tagged.count() == 4
    assert git.clone(repo, "--shallow-since", "2020-01-01").count() == 11
    git.run("clone", "-q", "--mirror", git.url(repo), str(git.folder / "mirror"))
    names = Git(git.folder / "mirror", git.home, git.hub).run("for-each-ref", "--format=%(refname)").split()
    assert names == ["refs/heads/main", "refs/pr/1", "refs/tags/v1"]


def test_a_large_file_by_git_lfs(hub, api, lfs, new_repo):
    """In a private repo, with a login that git-lfs has to be asked for."""
    repo, content = new_repo(private=True), os.urandom(20_000_000)
    login = f"!f() {{ echo username=rahim; echo password={TOKENS['rahim']}; }}; f"
    lfs.run("config", "--global", "credential.helper", login)
    here = lfs.clone(repo, who=None)
    here.write(weights__safetensors=content, note__txt="small")
    said = here.run("push")
    assert "lock" not in said.lower(), "git-lfs is told quietly that there are no file locks"
    [file] = [f for f in api.model_info(repo, files_metadata=True).siblings if f.rfilename == "weights.safetensors"]
    assert (file.size, file.lfs.sha256) == (len(content), hashlib.sha256(content).hexdigest())
    there = lfs.clone(repo, who=None)
    assert (there.folder / "weights.safetensors").read_bytes() == content
    pointers = lfs.clone(repo, who=None, GIT_LFS_SKIP_SMUDGE="1")
    assert (pointers.folder / "weights.safetensors").read_text().startswith("version https://git-lfs")
    pointers.run("lfs", "pull")
    assert (pointers.folder / "weights.safetensors").read_bytes() == content


def test_a_renamed_repo_is_found_by_its_old_name(api, git, repo):
    here = git.clone(repo)
    api.move_repo(repo, f"{repo}-new")
    here.run("fetch", "-q")
    assert here.run("ls-remote", git.url(repo)).split()[0] == here.head


def test_a_push_that_is_acknowledged_survives_kill_9(mortal_hub, git):
    git.hub = mortal_hub
    repo = mortal_hub.api("rahim").create_repo("rahim/precious").repo_id
    here = git.clone(repo)
    for number in range(3):
        head = here.write(README__md=f"---\ntags: [life{number}]\n---\n")
        here.run("push")
        mortal_hub.kill()
        mortal_hub.start()
        info = mortal_hub.api("rahim").model_info(repo)
        assert info.sha == head and f"life{number}" in info.tags
    assert git.clone(repo).head == head
    assert not list((mortal_hub.data / "objects" / "incoming").iterdir())


# Who may


def ask(http, repo: str, service: str = "git-upload-pack"):
    return http.get(f"/{repo}.git/info/refs", params={"service": service})


def test_who_sends_no_token_is_asked_for_one(stranger, new_repo):
    """The same for a private repo as for none, and before every push; not for reading what is public."""
    secret, absent, public = new_repo(private=True), "rahim/absent-one", new_repo()
    answers = [ask(stranger, repo) for repo in (secret, absent)]
    answers += [ask(stranger, repo, "git-receive-pack") for repo in (secret, absent, public)]
    answers += [stranger.post(f"/{repo}/git-upload-pack", content=b"0000") for repo in (secret, absent)]
    answers += [stranger.post(f"/{repo}/git-receive-pack", content=b"0000") for repo in (secret, absent, public)]
    batch = {"operation": "download", "objects": []}
    answers += [stranger.post(f"/{repo}.git/info/lfs/objects/batch", json=batch) for repo in (secret, absent)]
    assert {(a.status_code, a.headers["WWW-Authenticate"]) for a in answers} == {(401, 'Basic realm="Pathshala Hub"')}
    assert len({a.content for a in answers if a.headers["Content-Type"].startswith("text/plain")}) == 1
    assert ask(stranger, public).status_code == 200


@pytest.mark.parametrize(
    ("who", "private", "reads", "pushes"),
    [
        ("rahim", True, 200, 200),
        ("rahim, read-only", True, 200, 403),
        ("rahim, read-only", False, 200, 403),
        ("karim", True, 404, 404),
        ("karim", False, 200, 403),
        ("selim", True, 404, 404),
        ("teacher", True, 200, 200),
    ],
)
def test_who_may_read_and_who_may_push(hub, new_repo, who, private, reads, pushes):
    repo = new_repo(private=private)
    with hub.http(who) as http:
        assert ask(http, repo).status_code == reads
        assert ask(http, repo, "git-receive-pack").status_code == pushes
        assert http.post(f"/{repo}/git-upload-pack", content=b"0000").status_code == reads
        assert http.post(f"/{repo}/git-receive-pack", content=b"0000").status_code == pushes
        if reads == 404:
            assert ask(http, repo).text == ask(http, "rahim/absent-one").text


def test_git_says_why(git, new_repo):
    repo, public = new_repo(private=True), new_repo()
    here = git.clone(public)
    assert "could not read Username" in here.run("ls-remote", git.url(repo, None), fails=True)
    assert "not found" in here.run("ls-remote", git.url(repo, "karim"), fails=True)
    wrong = git.url(repo).replace(TOKENS["rahim"], "hf_wrong")
    assert "Authentication failed" in here.run("ls-remote", wrong, fails=True)
    said = here.run("push", git.url(public, "rahim, read-only"), "HEAD:x", fails=True)
    assert "remote: this token is read-only" in said
    assert "remote: You may not write to" in here.run("push", git.url(public, "karim"), "HEAD:x", fails=True)


def test_a_gated_repo_is_cloned_with_access_only(hub, api, git, repo):
    api.update_repo_settings(repo, gated="manual")
    assert f"remote: Access to {repo} is restricted" in git.run("clone", git.url(repo, "karim"), "x", fails=True)
    assert "could not read Username" in git.run("clone", git.url(repo, None), "x", fails=True)
    with hub.http("karim") as http:
        assert http.post(f"/{repo}/git-upload-pack", content=b"0000").status_code == 403
    api.grant_access(repo, "karim")
    git.clone(repo, who="karim")


def test_a_pull_request_is_pushed_to_by_its_author_and_by_writers(hub, api, git, repo):
    karims = hub.api("karim").create_pull_request(repo, title="By git")
    reference = karims.git_reference
    here = git.clone(repo, who="karim")
    here.run("fetch", "-q", "origin", reference)
    head = here.write(proposed="1")
    here.run("push", "origin", f"HEAD:{reference}")
    assert "permitted" in here.run("push", "origin", "HEAD:main", fails=True)
    assert "no such pull request" in here.run("push", "origin", "HEAD:refs/pr/99", fails=True)
    assert "cannot be deleted" in here.run("push", "origin", f":{reference}", fails=True)
    events = api.get_discussion_details(repo, karims.num).events
    assert [e.oid for e in events if e.type == "commit"] == [head]

    rahims = api.create_pull_request(repo, title="Of rahim")
    said = here.run("push", "origin", f"HEAD:{rahims.git_reference}", fails=True)
    assert f"remote: Pull request {rahims.num} is somebody else's" in said
    writer = git.clone(repo)
    writer.run("fetch", "-q", "origin", reference)
    writer.run("checkout", "-q", "FETCH_HEAD")
    head = writer.write(more="2")
    writer.run("push", "origin", f"HEAD:{reference}")
    assert hub.api("karim").list_repo_refs(repo, include_pull_requests=True).pull_requests[0].target_commit == head
    api.change_discussion_status(repo, karims.num, new_status="open")
    api.merge_pull_request(repo, karims.num)
    assert {"proposed", "more"} <= set(api.list_repo_files(repo))
    writer.write(late="3")
    assert f"Pull request {karims.num} is merged" in writer.run("push", "origin", f"HEAD:{reference}", fails=True)


# What is refused


def test_a_large_plain_file_is_refused_with_the_way_out(api, lfs, repo):
    here, before = lfs.clone(repo), api.repo_info(repo).sha
    (here.folder / "notes").mkdir()
    (here.folder / "notes" / "long.txt").write_bytes(os.urandom(10_000_001))
    here.write(a="1")
    said = here.run("push", fails=True)
    assert "remote: notes/long.txt has 10.0 MB. Plain files may have 10 MB." in said
    assert 'git lfs track "notes/long.txt"' in said and "file too large" in said
    assert api.repo_info(repo).sha == before
    here.run("lfs", "migrate", "import", "--yes", "--include=notes/long.txt")
    here.run("push")
    assert api.get_paths_info(repo, "notes/long.txt")[0].lfs.size == 10_000_001


def test_a_pointer_to_what_the_repo_does_not_hold_is_refused(api, lfs, repo):
    here = lfs.clone(repo)
    here.write(w__bin=b"\0large")
    said = here.run("push", "--no-verify", fails=True)  # without the hook by which git-lfs sends its files first
    assert "remote: w.bin stands for a large file of 6 bytes that this repo does not hold" in said
    assert "git lfs push --all origin" in said
    here.run("lfs", "push", "--all", "origin")
    here.run("push", "--no-verify")
    assert api.get_paths_info(repo, "w.bin")[0].lfs.size == 6


def test_what_git_may_not_do(api, git, repo):
    here = git.clone(repo)
    here.write(a="1")
    assert "remote: main cannot be deleted" in here.run("push", "origin", ":main", fails=True)
    for name in ("refs/convert/parquet", "refs/notes/commits", "refs/pr/7", "refs/heads/" + "x" * 245):
        here.run("push", "origin", f"HEAD:{name}", fails=True)
    said = here.run("push", "origin", "HEAD:refs/notes/commits", "HEAD:dev", fails=True)
    assert "push to refs/heads (branches) or refs/tags" in said and "[new branch]      HEAD -> dev" in said
    here.run("update-index", "--add", "--cacheinfo", f"160000,{here.head},module")
    here.run("commit", "-q", "-m", "a submodule")
    assert "remote: module is a submodule" in here.run("push", fails=True)
    refs = api.list_repo_refs(repo, include_pull_requests=True)
    assert [r.ref for r in (*refs.branches, *refs.tags)] == ["refs/heads/dev", "refs/heads/main"]
    assert not refs.pull_requests


# By hand


def header(kind: int, size: int) -> bytes:
    first, size = kind << 4 | size & 15, size >> 4
    more = bytearray()
    while size:
        more.append(size & 0x7F)
        size >>= 7
    parts = [first, *more]
    return bytes(byte | 0x80 for byte in parts[:-1]) + bytes(parts[-1:])


def number(size: int) -> bytes:
    parts = bytearray()
    while True:
        parts.append(size & 0x7F | (0x80 if size > 0x7F else 0))
        size >>= 7
        if not size:
            return bytes(parts)


def packed(*entries: bytes, count: int | None = None) -> bytes:
    body = b"PACK" + (2).to_bytes(4) + (len(entries) if count is None else count).to_bytes(4) + b"".join(entries)
    return body + hashlib.sha1(body).digest()


def entry(kind: int, content: bytes, *, size: int | None = None, base: bytes = b"") -> bytes:
    return header(kind, len(content) if size is None else size) + base + zlib.compress(content)


KINDS = {BLOB: b"blob", TREE: b"tree", COMMIT: b"commit", TAG: b"tag"}


@dataclass(frozen=True)
class Object:
    kind: int
    content: bytes

    @property
    def id(self) -> str:
        return hashlib.sha1(b"%s %d\0" % (KINDS[self.kind], len(self.content)) + self.content).hexdigest()

    @property
    def entry(self) -> bytes:
        return entry(self.kind, self.content)


def tree(*rows: tuple[str, bytes, str]) -> Object:
    return Object(TREE, b"".join(f"{mode} ".encode() + name + b"\0" + bytes.fromhex(oid) for mode, name, oid in rows))


def commit(root: Object | str, *parents: str, when: int | str = 1_700_000_000, author: str = "r <r@x>") -> Object:
    lines = [f"tree {root if isinstance(root, str) else root.id}", *(f"parent {parent}" for parent in parents)]
    lines += [f"author {author} {when} +0000", f"committer r <r@x> {when} +0000", "", "by hand\n"]
    return Object(COMMIT, "\n".join(lines).encode())


def push(http, repo: str, new: str, pack: bytes = b"", *, ref: str = "refs/heads/x", old: str = NONE, **options):
    """Sends a push. The answer without its side bands is its text."""
    command = f"{old} {new} {ref}\0report-status side-band-64k".encode()
    body = b"%04x" % (len(command) + 4) + command + b"0000" + pack
    answer = http.post(f"/{repo}/git-receive-pack", content=body, **options)
    assert answer.status_code < 500, answer.text
    return answer


def state(hub, api, repo: str) -> tuple:
    """What a refused push must not change: refs, packs, and what is on its way in."""
    refs = api.list_repo_refs(repo, include_pull_requests=True)
    packs = sorted(path.name for path in (hub.data / "repos").glob("*/objects/pack/*"))
    return refs, packs, list((hub.data / "objects" / "incoming").iterdir())


FILE = Object(BLOB, b"content")
GOOD = tree(("100644", b"a.txt", FILE.id))
START = commit(GOOD)


def with_path(*rows: tuple[str, bytes, str]) -> tuple[str, bytes]:
    top = tree(*rows)
    made = commit(top)
    return made.id, packed(FILE.entry, GOOD.entry, top.entry, made.entry)


def nested(depth: int, width: int = 1) -> tuple[str, bytes]:
    trees = [tree(("100644", b"f", FILE.id))]
    for _ in range(depth):
        trees.append(tree(*(("40000", b"d%d" % i, trees[-1].id) for i in range(width))))
    made = commit(trees[-1])
    return made.id, packed(FILE.entry, *(t.entry for t in trees), made.entry)


def alone(made: Object, *others: Object) -> tuple[str, bytes]:
    return made.id, packed(*(obj.entry for obj in (*others, made)))


def test_by_hand_it_is_taken_when_it_is_right(hub, api, http, repo):
    """The counterpart of the refusals below, deltas of both sorts among it."""
    long, base = b"the same words again and again " * 40, 40 * 31
    delta = number(base) + number(base + 1) + bytes([0x80 | 0x30, base & 255, base >> 8]) + b"\x01!"
    first = Object(BLOB, long).entry
    second, third = Object(BLOB, long + b"!"), Object(BLOB, long + b"!!")
    again = number(base + 1) + number(base + 2) + bytes([0x80 | 0x30, (base + 1) & 255, base + 1 >> 8]) + b"\x01!"
    ofs = entry(OFS_DELTA, delta, base=bytes([len(first)]))
    by_name = entry(REF_DELTA, again, base=bytes.fromhex(second.id))
    top = tree(("100644", b"a", Object(BLOB, long).id), ("100644", b"b", second.id), ("100755", b"c", third.id))
    made = commit(top)
    assert len(first) < 128
    answer = push(http, repo, made.id, packed(first, ofs, by_name, top.entry, made.entry))
    assert "ok refs/heads/x" in answer.text
    assert http.get(f"/{repo}/resolve/x/b").content == long + b"!"
    assert http.get(f"/{repo}/resolve/x/c").content == long + b"!!"
    assert "ok refs/heads/y" in push(http, repo, made.id, packed(), ref="refs/heads/y").text


REFUSED = {
    "a folder .git": (*with_path(("40000", b".git", GOOD.id)), "bad path"),
    "a folder .GIT": (*with_path(("40000", b".GIT", GOOD.id)), "bad path"),
    "a hidden .git": (*with_path(("40000", ".g\u200cit".encode(), GOOD.id)), "bad path"),
    "a short .git": (*with_path(("40000", b"git~1", GOOD.id)), "bad path"),
    "..": (*with_path(("40000", b"..", GOOD.id)), "bad path"),
    "an absolute path": (*with_path(("100644", b"/etc/passwd", FILE.id)), "bad path"),
    "a path in a name": (*with_path(("100644", b"a/../b", FILE.id)), "bad path"),
    "a drive": (*with_path(("40000", b"C:", GOOD.id)), "bad path"),
    "a newline": (*with_path(("100644", b"a\nb", FILE.id)), "bad path"),
    "no UTF-8": (*with_path(("100644", b"\xff", FILE.id)), "bad path"),
    "no name": (*with_path(("100644", b"", FILE.id)), "bad path"),
    "a name of 256 bytes": (*with_path(("100644", b"x" * 256, FILE.id)), "bad path"),
    "a file twice": (*with_path(("100644", b"a", FILE.id), ("100644", b"a", FILE.id)), "malformed pack"),
    "a wrong order": (*with_path(("100644", b"b", FILE.id), ("100644", b"a", FILE.id)), "malformed pack"),
    "a wrong mode": (*with_path(("100666", b"a", FILE.id)), "malformed pack"),
    "a file for a folder": (*with_path(("40000", b"a", FILE.id)), "malformed pack"),
    "a folder for a file": (*with_path(("100644", b"a", GOOD.id)), "malformed pack"),
    "101 folders deep": (*nested(101), "too deep"),
    "3000 folders deep": (*nested(3000), "too deep"),
    "ten billion files": (*nested(10, width=10), "too many files"),
    "no tree": (*alone(commit("1" * 40)), "missing objects"),
    "no parent": (*alone(commit(GOOD, "1" * 40), FILE, GOOD), "missing objects"),
    "no file": (*alone(START, GOOD), "missing objects"),
    "no pack at all": (START.id, packed(), "missing objects"),
    "a tree for a commit": (*alone(GOOD, FILE), "not a commit"),
    "a date after the last": (*alone(commit(GOOD, when=10**15), FILE, GOOD), "malformed pack"),
    "a date before the first": (*alone(commit(GOOD, when=-5), FILE, GOOD), "malformed pack"),
    "no date": (*alone(commit(GOOD, when="today"), FILE, GOOD), "malformed pack"),
    "no commit": (*alone(Object(COMMIT, b"nonsense")), "malformed pack"),
    "no folder": (*alone(Object(TREE, b"nonsense")), "malformed pack"),
    "a long message": (*alone(Object(COMMIT, START.content + b"x" * (1 << 20)), FILE, GOOD), "too large"),
    "an unfinished pack": (START.id, packed(FILE.entry, count=2), "malformed pack"),
    "a pack and more": (START.id, packed(FILE.entry, b"more"), "malformed pack"),
    "a cut pack": (START.id, packed(FILE.entry, GOOD.entry, START.entry)[:-30], "malformed pack"),
    "a wrong checksum": (START.id, packed(FILE.entry)[:-1] + b"!", "malformed pack"),
    "no pack": (START.id, b"nonsense" * 10, "malformed pack"),
    "nothing": (START.id, b"", "malformed pack"),
    "a million objects": (START.id, packed(count=10**6), "too large"),
    "no zlib": (START.id, packed(header(BLOB, 5) + b"nonsense"), "malformed pack"),
    "an unknown kind": (START.id, packed(entry(5, b"x")), "malformed pack"),
    "a size without end": (START.id, packed(b"\xff" * 30), "malformed pack"),
    "a delta to nothing": (START.id, packed(entry(OFS_DELTA, b"\1\1\1x", base=b"\x7f")), "malformed pack"),
    "a delta to itself": (START.id, packed(entry(OFS_DELTA, b"\1\1\1x", base=b"\0")), "malformed pack"),
    "a delta to what is not there": (START.id, packed(entry(REF_DELTA, b"\1\1\1x", base=b"x" * 20)), "malformed pack"),
    "a delta that does not fit": (
        START.id,
        packed(FILE.entry, entry(OFS_DELTA, b"\2\1\1x", base=bytes([len(FILE.entry)]))),
        "malformed pack",
    ),
}


@pytest.mark.parametrize("what", REFUSED)
def test_by_hand_it_is_refused(hub, api, http, untouched, what):
    new, pack, reason = REFUSED[what]
    before = state(hub, api, untouched)
    answer = push(http, untouched, new, pack)
    assert answer.status_code == 200 and f"ng refs/heads/x {reason}" in answer.text, answer.text
    if reason not in ("missing objects", "not a commit"):
        assert state(hub, api, untouched) == before
    assert api.list_repo_refs(untouched, include_pull_requests=True) == before[0]


@pytest.mark.parametrize(
    ("ref", "reason"),
    [
        ("refs/heads/../../../hub.db", "invalid name"),
        ("refs/heads/a..b", "invalid name"),
        ("refs/heads/.a", "invalid name"),
        ("refs/heads/a.lock", "invalid name"),
        ("refs/heads/a b", "invalid name"),
        ("refs/heads/", "invalid name"),
        ("HEAD", "not a place to push to"),
        ("refs/heads", "not a place to push to"),
        ("config", "not a place to push to"),
        ("refs/pr/0", "not a place to push to"),
        ("refs/pr/1/x", "not a place to push to"),
    ],
)
def test_names_that_no_ref_may_have(hub, api, http, repo, ref, reason):
    before = api.list_repo_refs(repo, include_pull_requests=True)
    assert f"ng {ref} {reason}" in push(http, repo, before.branches[0].target_commit, packed(), ref=ref).text
    assert api.list_repo_refs(repo, include_pull_requests=True) == before


def test_a_tag_leads_to_a_commit(api, http, repo):
    def tag(target: Object, kind: str) -> Object:
        return Object(TAG, f"object {target.id}\ntype {kind}\ntag t\ntagger r <r@x> 1 +0000\n\nx\n".encode())

    at_file, at_commit = tag(FILE, "blob"), tag(START, "commit")
    twice = tag(at_commit, "tag")
    answer = push(http, repo, at_file.id, packed(FILE.entry, at_file.entry), ref="refs/tags/t")
    assert "ng refs/tags/t not a commit" in answer.text
    pack = packed(*(obj.entry for obj in (FILE, GOOD, START, at_commit, twice)))
    assert "ok refs/tags/t" in push(http, repo, twice.id, pack, ref="refs/tags/t").text
    assert "ng refs/heads/t not a commit" in push(http, repo, twice.id, pack, ref="refs/heads/t").text
    assert [t.target_commit for t in api.list_repo_refs(repo).tags] == [START.id]


def zeros(size: int) -> bytes:
    """Zlib data of zeros, a thousandth of them long."""
    stream, block = zlib.compressobj(), bytes(1 << 20)
    return b"".join([*(stream.compress(block) for _ in range(size >> 20)), stream.flush()])


def test_bombs(hub, api, http, repo):
    """What would inflate to much more than it is."""
    bomb = zeros(256 << 20)
    copy = bytes([0x80 | 0x70, 0, 0, 0x50]) * 1000  # 5 MB of the base, each time
    base = entry(BLOB, bytes(9_000_000))
    distance = len(base)
    back = bytes([((distance >> 14) - 1 & 0x7F) | 0x80, ((distance >> 7) - 1 & 0x7F) | 0x80, distance & 0x7F])
    if distance < 1 << 14:
        back = bytes([((distance >> 7) - 1 & 0x7F) | 0x80, distance & 0x7F])
    honest = number(9_000_000) + number(5000 << 20) + copy
    lying = number(9_000_000) + number(9_000_000) + copy
    before = state(hub, api, repo)
    for pack, reason in (
        (packed(header(BLOB, 5) + bomb), "malformed pack"),
        (packed(header(TREE, 256 << 20) + bomb), "too large"),
        (packed(header(BLOB, 1 << 40) + bomb), "too large"),
        (packed(header(BLOB, 256 << 20) + bomb), "file too large"),
        (packed(base, entry(OFS_DELTA, honest, base=back)), "file too large"),
        (packed(base, entry(OFS_DELTA, lying, base=back)), "malformed pack"),
    ):
        assert f"ng refs/heads/x {reason}" in push(http, repo, START.id, pack).text
    assert state(hub, api, repo) == before
    squeezed = gzip.compress(bytes(64 << 20))
    answer = http.post(f"/{repo}/git-upload-pack", content=squeezed, headers={"Content-Encoding": "gzip"})
    assert answer.status_code == 413


def test_deltas_upon_deltas(hub, api, http, repo):
    """Each one is short work, but whoever reads the last of them does all of it."""
    entries = [entry(BLOB, b"x")]
    for length in range(1, 300):
        delta = number(length) + number(length + 1) + bytes([0x80 | 0x30, length & 255, length >> 8]) + b"\x01x"
        entries.append(entry(OFS_DELTA, delta, base=bytes([len(entries[-1])])))
    assert "ng refs/heads/x deltas too deep" in push(http, repo, START.id, packed(*entries)).text


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"nonsense",
        b"0003",
        b"ffff",
        b"000anope\n\n0000",
        b"0009done\n0000",
        b"0014command=nonsense0000",
        b"0032want " + b"z" * 40 + b"\n0000",
        b"0032want " + b"1" * 40 + b"\n00000009done\n",
        b"0012command=fetch00010011deepen many0000",
        b"0012command=fetch000100210000",
    ],
)
@pytest.mark.parametrize("protocol", ["", "version=2"])
def test_requests_that_are_none(http, untouched, body, protocol):
    for service in ("git-upload-pack", "git-receive-pack"):
        answer = http.post(f"/{untouched}/{service}", content=body, headers={"Git-Protocol": protocol})
        assert answer.status_code in (200, 400)
        assert answer.status_code == 400 or answer.content in (b"", b"0000") or b"ERR" in answer.content
    assert http.get(f"/{untouched}/info/refs").status_code == 403, "git's old protocol, for servers that serve files"
    assert http.get(f"/{untouched}/info/refs", params={"service": "git-nonsense"}).status_code == 403


def test_the_body_may_come_compressed_in_chunks_or_after_a_question(hub, http, repo):
    head = ask(http, repo).text.split("\n")[1][8:48]
    want = f"0032want {head}\n00000009done\n".encode()
    plain = http.post(f"/{repo}/git-upload-pack", content=want).content
    assert plain.startswith(b"0008NAK\nPACK")
    squeezed = http.post(f"/{repo}/git-upload-pack", content=gzip.compress(want), headers={"Content-Encoding": "gzip"})
    assert squeezed.content == plain
    assert http.post(f"/{repo}/git-upload-pack", content=iter([want[:7], want[7:]])).content == plain
    lies = http.post(f"/{repo}/git-upload-pack", content=want, headers={"Content-Encoding": "gzip"})
    assert lies.status_code == 400
    with line(hub, repo, "Expect: 100-continue", f"Content-Length: {len(want)}", service="git-upload-pack") as asked:
        assert asked.recv(100).startswith(b"HTTP/1.1 100 Continue")
        asked.sendall(want)
        assert asked.recv(100).startswith(b"HTTP/1.1 200 OK")


def line(hub, repo: str, *headers: str, service: str = "git-receive-pack") -> socket.socket:
    """A connection on which a POST has begun."""
    address = urlsplit(hub.url)
    connection = socket.create_connection((address.hostname, address.port), timeout=20)
    lines = [f"POST /{repo}/{service} HTTP/1.1", "Host: x", f"Authorization: Bearer {TOKENS['rahim']}", *headers]
    connection.sendall("\r\n".join([*lines, "", ""]).encode())
    return connection


def test_who_sends_slowly_keeps_nobody_waiting(hub, api, http, repo):
    """Half a push holds neither the repo's lock nor the database, and leaves nothing when it is broken off."""
    lines = [line(hub, repo, "Content-Length: 1000000") for _ in range(50)]
    for slow in lines:
        slow.sendall(b"00" * 1000)
    made = commit(GOOD, api.repo_info(repo).sha)
    pack = packed(*(obj.entry for obj in (FILE, GOOD, made)))
    answer = push(http, repo, made.id, pack, ref="refs/heads/main", old=api.repo_info(repo).sha)
    assert "ok refs/heads/main" in answer.text
    api.upload_file(repo_id=repo, path_in_repo="b", path_or_fileobj=b"b")
    for slow in lines:
        slow.close()
    assert set(api.list_repo_files(repo)) == {"a.txt", "b"}


def test_of_two_who_push_at_once_one_wins(hub, api, http, git, repo):
    old = api.repo_info(repo).sha
    commits = [commit(GOOD, old, author=f"client{number} <c@x>") for number in range(8)]

    def send(made: Object) -> str:
        pack = packed(*(obj.entry for obj in (FILE, GOOD, made)))
        return push(http, repo, made.id, pack, ref="refs/heads/main", old=old).text

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(send, commits))
    won = [made.id for made, answer in zip(commits, answers, strict=True) if "ok refs/heads/main" in answer]
    assert won == [api.repo_info(repo).sha]
    assert sum("ng refs/heads/main fetch first" in answer for answer in answers) == 7

    one, other = git.clone(repo), git.clone(repo)
    one.write(one="1")
    other.write(other="2")
    one.run("push")
    assert "fetch first" in other.run("push", fails=True)
    other.run("pull", "-q", "--rebase")
    other.run("push")
    assert {"one", "other"} <= set(api.list_repo_files(repo))


def test_a_push_and_a_commit_by_the_api_do_not_overwrite_each_other(hub, api, http, repo):
    old = api.repo_info(repo).sha
    api.upload_file(repo_id=repo, path_in_repo="b", path_or_fileobj=b"b")
    made = commit(GOOD, old)
    answer = push(http, repo, made.id, packed(*(o.entry for o in (FILE, GOOD, made))), ref="refs/heads/main", old=old)
    assert "ng refs/heads/main fetch first" in answer.text
    assert "b" in api.list_repo_files(repo)


def test_no_file_locks(http, untouched):
    for method, path in (("GET", "locks"), ("POST", "locks"), ("POST", "locks/verify"), ("POST", "locks/1/unlock")):
        answer = http.request(method, f"/{untouched}.git/info/lfs/{path}")
        assert (answer.status_code, answer.headers["X-Error-Code"]) == (501, "NotImplemented")
