"""Who am I, and who are they."""

from fastapi import APIRouter

from utils.hub import accounts
from utils.hub.errors import HubError
from utils.hub.routes.call import AnyCall
from utils.hub.tables import Account

router = APIRouter()


def iso(moment) -> str:
    """A date as the Hub writes it: UTC with milliseconds and a Z."""
    return moment.isoformat(timespec="milliseconds") + "Z"


@router.get("/api/whoami-v2")
def whoami(call: AnyCall) -> dict:
    with call.hub.db() as db:
        caller = call.signed_in(db)
        account, token = caller.account, caller.token
        return {
            "type": "user",
            "id": f"{account.id:024x}",
            "name": account.name,
            "fullname": account.fullname,
            "email": None,
            "emailVerified": False,
            "isPro": False,
            "canPay": False,
            "avatarUrl": "",
            "periodEnd": None,
            "orgs": [
                {
                    "type": "org",
                    "id": f"{org.id:024x}",
                    "name": org.name,
                    "fullname": org.fullname,
                    "avatarUrl": "",
                    "roleInOrg": role,
                    "isEnterprise": False,
                }
                for org, role in accounts.organisations(db, account)
            ],
            "auth": {
                "type": "access_token",
                "accessToken": {
                    "displayName": token.name,
                    "role": token.role,
                    "createdAt": iso(token.created_at),
                    **({"fineGrained": token.fine_grained} if token.fine_grained else {}),
                },
            },
        }


@router.get("/api/users/{name}/overview")
def user_overview(call: AnyCall, name: str) -> dict:
    with call.hub.db() as db:
        account = named(db, name, "user")
        orgs = [
            {"id": f"{o.id:024x}", "name": o.name, "fullname": o.fullname, "avatarUrl": ""}
            for o, _ in accounts.organisations(db, account)
        ]
        return {
            "user": account.name,
            "fullname": account.fullname,
            "type": "user",
            "avatarUrl": "",
            "isPro": False,
            "createdAt": iso(account.created_at),
            "orgs": orgs,
        }


@router.get("/api/organizations/{name}/overview")
def organization_overview(call: AnyCall, name: str) -> dict:
    with call.hub.db() as db:
        account = named(db, name, "org")
        return {"name": account.name, "fullname": account.fullname, "type": "org", "avatarUrl": ""}


@router.get("/api/organizations/{name}/members")
def organization_members(call: AnyCall, name: str) -> list[dict]:
    with call.hub.db() as db:
        return [person(member) for member, _role in accounts.members(db, named(db, name, "org"))]


def person(account: Account) -> dict:
    """A user as lists of users show one."""
    return {"user": account.name, "fullname": account.fullname, "type": "user", "avatarUrl": "", "isPro": False}


def named(db, name: str, kind: str) -> Account:
    """The user or organisation of this name. Raises HubError 404."""
    account = accounts.find(db, name)
    if account is None or account.kind != kind:
        raise HubError(404, f"No such {kind}: {name}")
    return account
