"""`pathshala hub …`: the Hub for a class, its users and its organisations."""

from pathlib import Path
from typing import Annotated

import typer

DATA = Path("hub-data")
Data = Annotated[Path, typer.Option("--data", help="Hub এর সব data যে folder এ থাকে।")]

app = typer.Typer(no_args_is_help=True, help="class এর জন্য local Hub: চালাও, user আর organisation যোগ করো।")
user = typer.Typer(no_args_is_help=True, help="user যোগ করো।")
org = typer.Typer(no_args_is_help=True, help="organisation যোগ করো।")
app.add_typer(user, name="user")
app.add_typer(org, name="org")


def fail(message: str) -> typer.Exit:
    typer.secho(message, fg="red", err=True)
    return typer.Exit(1)


@app.command()
def serve(
    host: Annotated[str, typer.Option(help="0.0.0.0 দিলে class এর বাকি computer থেকেও পাওয়া যাবে।")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="0 দিলে খালি একটা port নেবে।")] = 7860,
    data: Data = DATA,
) -> None:
    """Hub চালাও; Ctrl-C দিলে থামে, data থেকে যায়।"""
    from utils.hub.hub import DataInUse
    from utils.hub.serve import listen
    from utils.hub.serve import serve as run

    try:
        listener = listen(host, port)
    except OSError as error:
        raise fail(f"{host}:{port} এ চালানো গেল না ({error.strerror})। --port দিয়ে অন্য port দাও।") from None
    address, taken = listener.getsockname()[:2]
    typer.echo(f"Hub চালু হচ্ছে: http://{address}:{taken} · data: {data.resolve()} · থামাতে Ctrl-C")
    try:
        run(data, listener)
    except DataInUse:
        raise fail(f"{data} দিয়ে আরেকটা Hub চলছে। সেটা থামাও, নয়তো --data দিয়ে অন্য folder দাও।") from None


@user.command("add")
def add_user(
    name: Annotated[str, typer.Argument(help="user এর নাম, যেমন rahim।")],
    token: Annotated[str | None, typer.Option(help="নিজের পছন্দের token; না দিলে একটা বানানো হয়।")] = None,
    fullname: Annotated[str | None, typer.Option(help="পুরো নাম।")] = None,
    org: Annotated[list[str], typer.Option(help="যে organisation এ ঢুকবে (একাধিক হতে পারে)।")] = [],  # noqa: B006
    admin: Annotated[bool, typer.Option("--admin", help="সব repo তে লেখার অধিকার।")] = False,
    data: Data = DATA,
) -> None:
    """user বানাও আর তার token দেখাও। token টা এই একবারই দেখা যায়।"""
    from utils.hub import accounts
    from utils.hub.errors import HubError
    from utils.hub.hub import Hub

    hub = Hub(data)
    try:
        with hub.db() as db:
            account = accounts.add(db, name, fullname=fullname, admin=admin)
            for organisation in org:
                found = accounts.find(db, organisation)
                if found is None or found.kind != "org":
                    raise fail(
                        f"{organisation} নামে কোনো organisation নেই। আগে চালাও: pathshala hub org add {organisation}"
                    )
                accounts.join(db, account, found)
            secret = accounts.add_token(db, account, "cli", token=token)
    except HubError as error:
        raise fail(f"{name} যোগ হয়নি: {error.message}") from None
    typer.echo(secret)


@org.command("add")
def add_org(
    name: Annotated[str, typer.Argument(help="organisation এর নাম, যেমন khulna-college।")],
    fullname: Annotated[str | None, typer.Option(help="পুরো নাম।")] = None,
    private_by_default: Annotated[
        bool, typer.Option("--private-by-default", help="নতুন repo আপনা থেকেই private হবে।")
    ] = False,
    data: Data = DATA,
) -> None:
    """organisation বানাও।"""
    from utils.hub import accounts
    from utils.hub.errors import HubError
    from utils.hub.hub import Hub

    hub = Hub(data)
    try:
        with hub.db() as db:
            accounts.add(db, name, kind="org", fullname=fullname, private_by_default=private_by_default)
    except HubError as error:
        raise fail(f"{name} যোগ হয়নি: {error.message}") from None
    typer.echo(name)
