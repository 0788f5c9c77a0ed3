"""HTML for people: the templates in `pages/`, which escape whatever they are given."""

from pathlib import Path

from fastapi import Request
from fastapi.responses import HTMLResponse
from jinja2 import Environment, FileSystemLoader

from utils.hub.errors import HubError

HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; font-src 'self'; form-action 'self'; "
    "frame-ancestors 'none'; base-uri 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cache-Control": "no-store",
}
TITLES = {401: "আগে login করো", 403: "অনুমতি নেই", 404: "এখানে কিছু নেই", 429: "একটু থামো"}

templates = Environment(loader=FileSystemLoader(Path(__file__).with_name("pages")), autoescape=True)


def size_in_words(size: int) -> str:
    for unit in ("B", "kB", "MB"):
        if size < 1000:
            return f"{size:.3g} {unit}"
        size /= 1000
    return f"{size:.3g} GB"


templates.filters["size"] = size_in_words


def page(template: str, status: int = 200, **values) -> HTMLResponse:
    return HTMLResponse(templates.get_template(template).render(**values), status, HEADERS)


def wants_html(request: Request) -> bool:
    return "text/html" in request.headers.get("accept", "")


def error_page(error: HubError) -> HTMLResponse:
    return page("message.html", error.status, title=TITLES.get(error.status, "হলো না"), text=error.message)
