"""What pages of other origins may ask of the Hub: JavaScript clients run in browsers too.

As on the real Hub they may call the API, and read and send files, by a token that they have; never with the visitor's
cookie, which no route of the API reads and which a browser keeps back where an answer allows no credentials. A page,
a form or a lease opens to nobody else. On a student's own machine any website can so read what the Hub shows to those
without a token, its public repos; some browsers ask the student first, others do not.
"""

import re

from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Receive, Scope, Send

# The API; files and git-lfs at a repo's own address; the signed links and the Xet store that these lead to.
OPEN = re.compile(r"/api/.*|(/[^/]+){1,3}/(resolve|raw)/.*|(/[^/]+){2,3}\.git/info/lfs/.*|/-/(lfs|xet)/.*")
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
READABLE = """
X-Repo-Commit X-Request-Id X-Error-Code X-Error-Message X-Total-Count ETag Link Accept-Ranges Content-Range
Content-Disposition X-Linked-Size X-Linked-Etag X-Xet-Hash RateLimit RateLimit-Policy Retry-After
""".split()  # noqa: SIM905 - a table to read
REMEMBERED = 86_400  # seconds that a browser need not ask again


class Cors:
    """ASGI middleware. Routing happens on the raw path, and so does this."""

    def __init__(self, app: ASGIApp):
        self.app = app
        self.opened = CORSMiddleware(
            app,
            allow_origins=["*"],
            allow_methods=METHODS,
            allow_headers=["*"],
            expose_headers=READABLE,
            max_age=REMEMBERED,
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        is_open = scope["type"] == "http" and OPEN.fullmatch(scope["path"])
        await (self.opened if is_open else self.app)(scope, receive, send)
