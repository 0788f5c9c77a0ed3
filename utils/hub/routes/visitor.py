"""Who looks at a page: known by a signed cookie, which no route of the API reads.

A form counts only when this Hub's own page sent it: a Space or another server on this machine shares the cookie, but
not the origin.
"""

from typing import Annotated
from urllib.parse import unquote

from fastapi import Depends, Path, Request
from fastapi.responses import Response
from itsdangerous import BadSignature, URLSafeTimedSerializer
from pydantic import AfterValidator
from sqlalchemy.orm import Session

from utils.hub import accounts
from utils.hub.accounts import Caller
from utils.hub.errors import forbidden
from utils.hub.routes.call import Call, PageCall, token_of
from utils.hub.tables import Account, Token

COOKIE, REMEMBERED = "pathshala", 30 * 24 * 3600  # seconds


class Visitor(Call):
    """A request from a browser, or from a program that sends its token as to the API."""

    def __init__(self, request: Request):
        super().__init__(request)
        self.refuse_other_origins()

    def refuse_other_origins(self) -> None:
        if self.request.method == "POST" and self.request.headers.get("origin", self.base) != self.base:
            raise forbidden("This form was not sent by a page of this Hub")

    def caller(self, db: Session) -> Caller | None:
        cookie = self.request.cookies.get(COOKIE)
        if token_of(self.request) or not cookie:
            return super().caller(db)
        try:
            number, created = _signer(self).loads(cookie, max_age=REMEMBERED)
        except (BadSignature, TypeError, ValueError):
            return None
        token = db.get(Token, number)
        if token is None or token.created_at.isoformat() != created:
            return None  # revoked; its number may be another one's by now
        return Caller(token.account, token)

    def user(self, db: Session) -> Account | None:
        caller = self.caller(db)
        return caller.account if caller else None


class RepoVisitor(Visitor, PageCall):
    """The same to a page of one repo."""

    def __init__(self, request: Request, repo: Annotated[str, Path(), AfterValidator(unquote)]):
        PageCall.__init__(self, request, repo)
        self.refuse_other_origins()


AnyVisitor = Annotated[Visitor, Depends(Visitor)]
OnRepo = Annotated[RepoVisitor, Depends(RepoVisitor)]


def _signer(call: Call) -> URLSafeTimedSerializer:
    return URLSafeTimedSerializer(call.hub.secret, salt="login")


def remember(call: Call, response: Response, db: Session, secret: str) -> Response:
    """Logs the browser in with this token."""
    token = accounts.authenticate(db, secret).token
    secure = call.request.url.scheme == "https"
    login = _signer(call).dumps([token.id, token.created_at.isoformat()])
    response.set_cookie(COOKIE, login, REMEMBERED, httponly=True, samesite="strict", secure=secure)
    return response
