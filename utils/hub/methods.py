"""Which methods of the installed `HfApi` this Hub serves: a table made from the client's source and the Hub's answers.

For each method the addresses in its source, and in the client's functions that it calls, are asked of the application.
Whether the answers are right is what the tests are for; this says what answers at all.
"""

import ast
import re
from dataclasses import dataclass, field
from pathlib import Path

import huggingface_hub
from fastapi import FastAPI

MODULES = ("hf_api.py", "_commit_api.py", "lfs.py", "file_download.py", "_snapshot_download.py", "utils/_xet.py")
VERBS = ("get", "post", "put", "delete", "patch", "head")
# Written in the client as a template of another module, not as an address.
DOWNLOAD = ("GET", "/owner/name/resolve/main/file")
# Asked by general methods only for kinds of repos that are not served at all.
OF_OTHER_KINDS = ("/api/kernels", "/api/buckets", "/api/spaces/templates")
KINDLESS = ("move_bucket", "sync_job_volume")  # are for those kinds alone, by requests that serve others too
ELSEWHERE = "(Inference Endpoints)"  # another server's addresses
# What an address says in braces → what stands there in a request.
BLANKS = {
    "type": "model",
    "api_prefix": "models",
    "url_prefix": "",
    "branch": "main",
    "status": "pending",
    "resource": "comment",
    "token_type.value": "read",
    "discussion_num": "1",
    "log_type": "run",
}


@dataclass
class Function:
    """What a function of the client asks by itself, as (verb, path), and which others it calls."""

    asks: set[tuple[str, str]] = field(default_factory=set)
    calls: set[str] = field(default_factory=set)


@dataclass(frozen=True)
class Row:
    """`mark` is ✓ for what is served, ✗ for what is not, ◐ for what works until it comes to the `refused` requests."""

    method: str
    mark: str
    refused: tuple[tuple[str, str], ...]


def table(app: FastAPI) -> list[Row]:
    """One row for each public method of `HfApi` that sends requests, in the order of its source.

    Each address is asked of `app` without a token: what it serves it then refuses, or does not find, but not with 501.
    """
    from starlette.testclient import TestClient

    functions, public = _client()
    hub, rows = TestClient(app), []
    for name in public:
        own = functions[f"self.{name}"].asks
        inherited = _all(f"self.{name}", functions) - own
        others = {(verb, path) for verb, path in inherited if not path.startswith(OF_OTHER_KINDS) or name in KINDLESS}
        refused = {one for one in own | others if one[1].startswith(ELSEWHERE) or hub.request(*one).status_code == 501}
        if own | others:
            nothing = bool(own & refused) or (refused and refused == others) or name in KINDLESS
            rows.append(Row(name, "✗" if nothing else "◐" if refused else "✓", tuple(sorted(refused))))
    return rows


def markdown(rows: list[Row]) -> str:
    """The table as a page of the docs."""
    lines = [
        "# local Hub কী কী জানে",
        "",
        f"`huggingface_hub` {huggingface_hub.__version__} এর `HfApi` এর যে method গুলো Hub এ request পাঠায়, তার তালিকা। "
        "✓ মানে চলে, ◐ মানে কিছু অংশ চলে, ✗ মানে local Hub এ নেই: 501 আর একটা পরিষ্কার কথা ফেরত আসে।",
        "",
        "তালিকাটা বানায় `pathshala hub methods`, client এর source পড়ে আর Hub কে জিজ্ঞেস করে। হাতে বদলিও না।",
        "",
        "| method | | যা নেই |",
        "|---|---|---|",
    ]
    for row in rows:
        missing = ", ".join(f"`{verb} {path}`" for verb, path in row.refused)
        lines.append(f"| `{row.method}` | {row.mark} | {missing} |")
    return "\n".join(lines) + "\n"


def _all(name: str, functions: dict[str, Function]) -> set[tuple[str, str]]:
    """All that a function asks, itself or by others."""
    seen, todo, asked = set(), [name], set()
    while todo:
        if (current := todo.pop()) in functions and current not in seen:
            seen.add(current)
            asked |= functions[current].asks
            todo += functions[current].calls
    return asked


def _client() -> tuple[dict[str, Function], list[str]]:
    """The client's functions by name, and the names of `HfApi`'s public methods."""
    functions: dict[str, Function] = {}
    public: list[str] = []
    for module in MODULES:
        tree = ast.parse((Path(huggingface_hub.__file__).parent / module).read_text(encoding="utf-8"))
        for node in tree.body:
            if isinstance(node, ast.FunctionDef):
                functions[node.name] = _read(node)
            elif isinstance(node, ast.ClassDef) and node.name == "HfApi":
                methods = [method for method in node.body if isinstance(method, ast.FunctionDef)]
                functions |= {f"self.{method.name}": _read(method) for method in methods}
                public += [method.name for method in methods if not method.name.startswith("_")]
    functions["hf_hub_url"] = Function({DOWNLOAD})
    return functions, list(dict.fromkeys(public))


def _read(function: ast.FunctionDef) -> Function:
    found, addresses = Function(), {}
    for node in ast.walk(function):
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            path = next(filter(None, (_path(part) for part in ast.walk(node.value))), None)
            addresses[node.targets[0].id] = path or addresses.get(node.targets[0].id)
    for node in ast.walk(function):
        if isinstance(node, ast.Attribute) and getattr(node.value, "id", "") == "self":
            found.calls.add(f"self.{node.attr}")
        if not isinstance(node, ast.Call):
            continue
        name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        if isinstance(node.func, ast.Name):
            found.calls.add(name)
        given = [*node.args, *(keyword.value for keyword in node.keywords if keyword.arg in ("url", "path"))]
        paths = [_path(part) or addresses.get(getattr(part, "id", "")) for part in given]
        path, verb = next(filter(None, paths), None), _verb(name, node)
        if path and verb:
            found.asks.add((verb.upper(), path))
    return found


def _verb(name: str, call: ast.Call) -> str | None:
    """The method of the request that a call makes, if it makes one."""
    if name in VERBS:
        return name
    if name in ("paginate", "_paginate_pages", "_fetch_running_logs", "_sse"):
        return "get"
    if name.startswith("http_") or name in ("stream", "request"):
        return call.args[0].value if call.args and isinstance(call.args[0], ast.Constant) else "get"
    return None


def _path(node: ast.AST) -> str | None:
    """The path of an f-string that begins with the endpoint, its blanks filled in."""
    if not isinstance(node, ast.JoinedStr):
        return None
    text = "".join(p.value if isinstance(p, ast.Constant) else f"{{{ast.unparse(p.value)}}}" for p in node.values)
    if "INFERENCE_ENDPOINTS_ENDPOINT" in text or "INFERENCE_CATALOG_ENDPOINT" in text:
        return ELSEWHERE
    begin = re.match(r"\{(self\.)?endpoint\}(?=/)", text)
    if begin is None:
        return None
    rest = re.sub(r"\{(?:\w+_)?repo_type\}", "model", text[begin.end() :])
    rest = rest.replace("/api/{repo_id}", "/api/models/{repo_id}")  # which holds its type there
    return re.sub(r"\{([^{}]*)\}", _fill, rest)


def _fill(blank: re.Match) -> str:
    name = blank[1]
    if name in BLANKS:
        return BLANKS[name]
    return "owner/name" if name.endswith(("repo_id", "from_id")) else "x"
