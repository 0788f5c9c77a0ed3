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
# Of a refusal: its title, and the way out.
REFUSALS = {
    401: ("আগে login করো", "উপরে login এ click করো। token টা ভুল হলে বা বাতিল হলে নতুন একটা নাও।"),
    403: ("অনুমতি নেই", "এই account বা token দিয়ে এটা করা যায় না। repo র মালিককে বলো, নয়তো write token দিয়ে login করো।"),
    404: ("এখানে কিছু নেই", "ঠিকানার বানান মেলাও। repo টা private হলে যে দেখতে পারে, তার account দিয়ে login করো।"),
    429: ("একটু থামো", "অল্প সময়ে অনেক request এসেছে। একটু পরে আবার চেষ্টা করো।"),
}
OTHER = ("হলো না", "নিচের কথাটা পড়ো, তারপর আবার চেষ্টা করো।")

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
    title, way_out = REFUSALS.get(error.status, OTHER)
    shown = page("message.html", error.status, title=title, way_out=way_out, text=error.message)
    shown.headers.update(error.all_headers)
    return shown
