"""A careless or hostile client: whatever comes in, an answer goes out, soon, with no file from outside a repo.

Requests are written by hand, byte by byte: a client library would not send most of them.
"""

import itertools
import json
import random
import re
import socket
from contextlib import suppress
from urllib.parse import quote, urlsplit

import pytest

SECRET = b"SQLite format 3"  # how hub.db begins: the file that lies next to the repos


@pytest.fixture(scope="module")
def send(hub):
    """Sends bytes, returns (status, headers, body). No answer within 20 s is a failure."""
    host, port = urlsplit(hub.url).netloc.split(":")

    def send(request: bytes) -> tuple[int, bytes, bytes]:
        with socket.create_connection((host, int(port)), timeout=20) as line:
            line.sendall(request)
            answer = b""
            with suppress(ConnectionResetError):  # it hung up on a body that it did not want to read
                while piece := line.recv(1 << 16):
                    answer += piece
        head, _, body = answer.partition(b"\r\n\r\n")
        match = re.match(rb"HTTP/1\.1 ([0-9]{3})", head or b"HTTP/1.1 400")
        assert match, answer[:200]
        assert int(match[1]) not in (500, 502, 503), (request[:300], answer[:600])
        assert SECRET not in body
        return int(match[1]), head, body

    return send


def request(method: str, target: str | bytes, *headers: bytes, body: bytes = b"", token: bytes = b"") -> bytes:
    lines = [method.encode() + b" " + (target.encode() if isinstance(target, str) else target) + b" HTTP/1.1"]
    if not any(header.lower().startswith(b"host:") for header in headers):
        lines.append(b"Host: 127.0.0.1")
    if token:
        lines.append(b"Authorization: Bearer " + token)
    if body and not any(header.lower().startswith((b"content-length:", b"transfer-encoding:")) for header in headers):
        lines.append(b"Content-Length: %d" % len(body))
    return b"\r\n".join([*lines, b"Connection: close", *headers, b"", body])


@pytest.fixture(scope="module")
def target(hub) -> str:
    """A repo with a file, which the attacks go for."""
    api = hub.api("rahim")
    repo = api.create_repo("rahim/target").repo_id
    api.upload_file(repo_id=repo, path_in_repo="d/a.txt", path_or_fileobj=b"content")
    return repo


ESCAPES = [
    *("../hub.db", "..%2fhub.db", "..%2Fhub.db", "%2e%2e/hub.db", "%2e%2e%2fhub.db", "..%252fhub.db", "..\\hub.db"),
    *("..%5chub.db", "....//hub.db", "/etc/passwd", "%2fetc%2fpasswd", "//etc/passwd", "file:///etc/passwd"),
    *("..%c0%afhub.db", "%ff", "%00", "hub.db%00", "%", "%zz", "%u002e", "~", "~root", ".git/config", "HEAD", "config"),
    *("..;/hub.db", "?/../hub.db", "d/../../../hub.db", "d/%2e%2e/%2e%2e/%2e%2e/hub.db", "CON", "NUL", "a" * 5000),
    *("a/" * 2000, "%0d%0aX-Injected:%20yes", "\u202e", "ক" * 100, "%F0%9F%98%80", "*", "{}", "<script>", "'\"`$(id)"),
]
PLACES = [
    "/{repo}/resolve/main/{}",
    "/{repo}/resolve/{}/d/a.txt",
    "/{repo}/raw/main/{}",
    "/datasets/{}/resolve/main/x",
    "/{}/resolve/main/x",
    "/api/models/{repo}/tree/main/{}",
    "/api/models/{repo}/tree/{}",
    "/api/models/{repo}/revision/{}",
    "/api/models/{repo}/commits/{}",
    "/api/models/{}",
    "/api/models/rahim/{}",
    "/api/models/{}/tree/main",
    "/api/users/{}/overview",
    "/api/{}",
    "/-/lfs/download/{}",
    "/{}",
]


@pytest.mark.parametrize("place", PLACES)
def test_no_address_leaves_the_repo(send, target, place):
    for escape in ESCAPES:
        path = place.replace("{repo}", target).replace("{}", escape).encode()
        status, head, _ = send(request("GET", path, token=b"hf_rahim_writes"))
        assert status in (200, 307, 400, 403, 404, 501), path
        assert b"\r\nX-Injected" not in head
        if status == 200:
            is_main = escape == "HEAD" and "/main" not in place  # git's own name for the default branch
            assert escape.startswith("?") or is_main or place.startswith(("/{}", "/api/{}")), path


def test_deleting_and_branching_with_odd_names_stays_inside(hub, send, target):
    before = {path for path in hub.data.rglob("*") if path.is_dir()}
    for escape in ESCAPES:
        for place in ("branch", "tag"):
            path = f"/api/models/{target}/{place}/{escape}".encode()
            for method, body in (("DELETE", b""), ("POST", b'{"tag": "x%s"}' % b"y")):
                json_type = b"Content-Type: application/json"
                status, _, _ = send(request(method, path, json_type, body=body, token=b"hf_rahim_writes"))
                assert status in (200, 400, 403, 404, 405, 409, 501), path
    after = {path for path in hub.data.rglob("*") if path.is_dir()}
    assert all((hub.data / "repos") in path.parents for path in after - before)
    assert hub.api().list_repo_commits(target)


METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND"]


def test_every_method_on_every_route(hub, send, target):
    """As stranger, so that nothing is changed. What is not allowed says what is."""
    with hub.http() as http:
        paths = http.get("/openapi.json").json()["paths"]
    slots = {"{repo}": target, "{kind}": "models", "{revision}": "main", "{path}": "d/a.txt", "{name}": "rahim"}
    slots |= {"{branch}": "main", "{tag}": "v1"}
    for path, method in itertools.product([*paths, "/-/lfs/upload/x", "/-/lfs/part/x", "/-/lfs/verify/x"], METHODS):
        for slot, value in slots.items():
            path = path.replace(slot, value)
        if path == "/-/lease":
            continue  # stays open, as it should
        status, head, body = send(request(method, path))
        assert status in (200, 307, 400, 401, 403, 404, 405, 409, 422, 501), (method, path)
        assert (b"\r\nallow:" in head.lower()) == (status == 405), (method, path)
        assert method != "HEAD" or body == b"", path
        if status >= 400:
            assert b"\r\nx-error-message:" in head.lower(), (method, path)


@pytest.mark.parametrize(
    "headers",
    [
        [b"Host: ["],
        [b"Host: ]:x"],
        [b"Host: a b"],
        [b"Host: \xff"],
        [b"Host: evil.example:99999999"],
        [b"Host: x", b"Host: y"],
        [b"Host:"],
        [b"X-Forwarded-Host: evil.example", b"X-Forwarded-Proto: gopher", b"Forwarded: host=evil.example"],
        [b"Authorization: Bearer a", b"Authorization: Bearer hf_rahim_writes"],
        [b"Authorization: " + b"Basic " * 1000],
        [b"Range: bytes=0-1,2-3," + b"4-5," * 1000],
        [b"If-Range: \xff", b"Range: bytes=0-1"],
        [b"If-Modified-Since: never", b"If-None-Match: *"],
        [b"Accept-Encoding: \xff", b"Accept: " + b"*/*," * 1000, b"Accept-Language: %n%s"],
        [b"Cookie: " + b"a=b; " * 1000],
        [b"X-Request-Id: \xff\xfe", b"X-Amzn-Trace-Id: x"],
        [b"Content-Type: \xff/\xff"],
        [b"Connection: upgrade", b"Upgrade: websocket", b"Sec-WebSocket-Version: 13", b"Sec-WebSocket-Key: eA=="],
        [b"Connection: Upgrade, HTTP2-Settings", b"Upgrade: h2c"],
        [b"Expect: 100-continue"],
        [b"X-%d: x" % i for i in range(1000)],
    ],
    ids=lambda headers: headers[0][:30].decode("latin-1"),
)
def test_headers_of_all_sorts(send, target, headers):
    for path in (f"/{target}/resolve/main/d/a.txt", f"/api/models/{target}/tree/main?limit=1", "/api/models?limit=1"):
        send(request("GET", path, *headers))
    json_type = b"Content-Type: application/json"
    batch = b'{"operation": "upload", "objects": [{"oid": "%s", "size": 1}]}' % (b"0" * 64)
    send(
        request(
            "POST", f"/{target}.git/info/lfs/objects/batch", json_type, *headers, body=batch, token=b"hf_rahim_writes"
        )
    )


@pytest.mark.parametrize(
    "request_",
    [
        b"nonsense\r\n\r\n",
        b"GET\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET /\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(100),
        b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: " + b"9" * 5000 + b"\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST /api/repos/create HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nno colon\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nA: b\x00c\r\n\r\n",
        b"GET /\x00 HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET http://evil.example/api/models?limit=1 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        b"OPTIONS * HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        b"CONNECT evil.example:443 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        b"GET //evil.example/%2f..?x HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        b"GET / HTTP/1.0\r\n\r\n",
    ],
    ids=range(17),
)
def test_what_is_hardly_http(hub, send, request_):
    status, head, _ = send(request_)
    assert status < 500 and b"evil.example" not in head
    assert hub.process.poll() is None


def test_too_much_is_refused_before_it_is_read(send, target):
    """By what is announced, at once; 2 GB sent without an announcement, as soon as it is too much."""
    huge = b"Content-Length: %d" % 2**40
    json_type = b"Content-Type: application/json"
    for method, path in (
        ("POST", "/api/repos/create"),
        ("POST", f"/api/models/{target}/commit/main"),
        ("POST", f"/api/models/{target}/preupload/main"),
        ("POST", f"/api/models/{target}/paths-info/main"),
        ("POST", f"/{target}.git/info/lfs/objects/batch"),
        ("POST", "/api/validate-yaml"),
        ("PUT", "/-/lfs/upload/x"),
    ):
        status, _, _ = send(request(method, path, json_type, huge, token=b"hf_rahim_writes"))
        assert status in (403, 413), path


def test_endless_bodies_end(hub, target):
    """The Hub hangs up instead of keeping what will never be used."""
    host, port = urlsplit(hub.url).netloc.split(":")
    chunk = b"100000\r\n" + b"x" * (1 << 20) + b"\r\n"
    for path in ("/api/repos/create", f"/api/models/{target}/paths-info/main"):
        with socket.create_connection((host, int(port)), timeout=20) as line:
            head = request("POST", path, b"Transfer-Encoding: chunked", b"Content-Type: application/json")
            sent = 0
            with pytest.raises(ConnectionError):
                line.sendall(head)
                while sent < 300:
                    line.sendall(chunk)
                    sent += 1
            assert sent < 300


def odd_values() -> list:
    return [
        None,
        True,
        -1,
        0,
        2**31,
        2**63,
        10**400,
        1.5,
        float("nan"),
        float("inf"),
        "",
        "\0",
        "\ud800",
        "a" * 100_000,
        "../../x",
        "rahim/fuzzed",
        "ক",
        [],
        {},
        [[]],
        {"a": {}},
        ["x"] * 100,
    ]


BODIES = {
    "POST /api/repos/create": ["name", "organization", "type", "private", "visibility", "sdk", "license", "template"],
    "DELETE /api/repos/delete": ["name", "organization", "type"],
    "POST /api/repos/move": ["fromRepo", "toRepo", "type"],
    "PUT /api/models/{repo}/settings": ["private", "gated", "visibility"],
    "POST /api/models/{repo}/preupload/main": ["files", "gitAttributes", "gitIgnore"],
    "POST /api/models/{repo}/branch/odd": ["startingPoint", "emptyBranch"],
    "POST /api/models/{repo}/tag/main": ["tag", "message"],
    "POST /api/models/{repo}/paths-info/main": ["paths", "expand"],
    "POST /{repo}.git/info/lfs/objects/batch": ["operation", "objects", "transfers", "hash_algo"],
    "POST /api/validate-yaml": ["content", "repoType"],
    "POST /api/models/{repo}/commit/main": ["key", "value"],
}
VALID = {
    "name": "fuzzed", "type": "model", "fromRepo": "rahim/fuzzed", "toRepo": "rahim/fuzzed", "files": [], "tag": "t",
    "operation": "download", "objects": [], "content": "x", "key": "header", "value": {"summary": "x"}, "paths": ["d"],
}  # fmt: skip


@pytest.mark.parametrize("route", BODIES)
def test_odd_values_in_every_field(send, new_repo, route):
    """One field after the other gets each odd value, the rest is right; then all get odd ones, by chance."""
    method, path = route.split()
    path, fields, chance = path.replace("{repo}", new_repo()), BODIES[route], random.Random(route)
    bodies = [{name: VALID[name] for name in fields if name in VALID} | {f: v} for f in fields for v in odd_values()]
    bodies += [{field: chance.choice(odd_values()) for field in fields} for _ in range(5)]
    bodies += [value for value in odd_values() if not isinstance(value, dict)]
    for name in {"files", "objects"}.intersection(fields):
        right = {"path": "x", "size": 1, "sample": "", "oid": "0" * 64}
        bodies += [{"operation": "upload", name: [right | {field: v}]} for field in right for v in odd_values()]
    for body in bodies:
        content = json.dumps(body).encode()
        json_type = b"Content-Type: application/json"
        status, head, _ = send(request(method, path, json_type, body=content, token=b"hf_rahim_writes"))
        assert status in (200, 307, 400, 401, 403, 404, 409, 413, 422, 501), body
        assert status == 200 or b"x-error-message" in head.lower()


@pytest.mark.parametrize("route", BODIES)
def test_bodies_that_are_no_json(send, repo, route):
    method, path = route.replace("{repo}", repo).split()
    odd = [b"", b"{", b"\xff\xfe\x00", b"[" * 100_000, b'{"a":' * 50_000, b"9" * 10_000, b"NaN", '"ক"'.encode("utf-16")]
    kinds = [b"text/plain", b"", b"multipart/form-data; boundary=x", b"multipart/form-data", b"application/x-ndjson"]
    for body, kind in [*((body, b"application/json") for body in odd), *((b"{}", kind) for kind in kinds)]:
        kind = b"Content-Type: " + kind
        status, _, _ = send(request(method, path, kind, body=body, token=b"hf_rahim_writes"))
        assert status in (200, 400, 404, 409), (body[:20], kind)


def test_queries_of_all_sorts(send, target):
    values = ["", "-1", "9" * 5000, "1e999", "%00", "%ff", "ক", "true", "%27%20or%201=1--"]
    places = {
        "/api/models": ["search", "author", "filter", "pipeline_tag", "gated", "sort", "direction", "limit", "full"]
        + ["cardData", "config", "cursor", "expand", "expand[]"],
        f"/api/models/{target}": ["blobs", "expand", "expand[]"],
        f"/api/models/{target}/tree/main": ["recursive", "expand", "cursor", "limit"],
        f"/api/models/{target}/commits/main": ["p", "limit", "expand[]"],
        f"/api/models/{target}/refs": ["include_prs"],
        f"/{target}/resolve/main/d/a.txt": ["download", "x"],
    }
    for path, names in places.items():
        for name, value in itertools.product(names, values):
            status, _, _ = send(request("GET", f"{path}?{quote(name)}={value}&limit=1".encode()))
            assert status in (200, 400, 404), (path, name, value)


def test_nothing_was_harmed(hub, target):
    """After all of the above."""
    assert hub.api().hf_hub_download(target, "d/a.txt")
    assert [row.id for row in hub.api().list_models(search=target)] == [target]
