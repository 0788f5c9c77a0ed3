"""`pathshala hub …`: the Hub for a class, its users and its organisations."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:  # the database takes a second to import: `--help` does without
    from sqlalchemy.orm import Session

    from utils.hub.hub import Hub
    from utils.hub.tables import Account

DATA = Path("hub-data")
Data = Annotated[Path, typer.Option("--data", help="Hub এর সব data যে folder এ থাকে।")]

app = typer.Typer(no_args_is_help=True, help="class এর জন্য local Hub: চালাও, user আর organisation যোগ করো।")
user = typer.Typer(no_args_is_help=True, help="user যোগ করো।")
org = typer.Typer(no_args_is_help=True, help="organisation যোগ করো, সদস্য ঠিক করো।")
token = typer.Typer(no_args_is_help=True, help="token দাও, দেখো, বাতিল করো।")
app.add_typer(user, name="user")
app.add_typer(org, name="org")
app.add_typer(token, name="token")


def fail(message: str, status: int = 1) -> typer.Exit:
    typer.secho(message, fg="red", err=True)
    return typer.Exit(status)


@app.command()
def serve(
    host: Annotated[str, typer.Option(help="0.0.0.0 দিলে class এর বাকি computer থেকেও পাওয়া যাবে।")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="0 দিলে খালি একটা port নেবে।")] = 7860,
    data: Data = DATA,
    join: Annotated[bool, typer.Option("--join", help="যে কেউ browser থেকে নিজের account বানাতে পারবে।")] = False,
    rate_limit: Annotated[
        int, typer.Option(min=1, help="একটা computer পাঁচ মিনিটে সবচেয়ে বেশি কত request পাঠাতে পারবে।")
    ] = 50_000,
    free_spaces: Annotated[
        bool,
        typer.Option(
            "--free-spaces/--no-free-spaces",
            help="--no-free-spaces দিলে Gradio আর Docker এর Space বানাতে গেলে আসল Hub এর মতো 402 আসে।",
        ),
    ] = True,
) -> None:
    """Hub চালাও; Ctrl-C দিলে থামে, data থেকে যায়।"""
    from utils.hub.hub import DataInUse
    from utils.hub.serve import listen
    from utils.hub.serve import serve as run
    from utils.hub.spaces.manager import Options

    try:
        listener = listen(host, port)
    except OSError as error:
        raise fail(f"{host}:{port} এ চালানো গেল না ({error.strerror})। --port দিয়ে অন্য port দাও।") from None
    address, taken = listener.getsockname()[:2]
    typer.echo(f"Hub চালু হচ্ছে: http://{address}:{taken} · data: {data.resolve()} · থামাতে Ctrl-C")
    try:
        run(data, listener, open=join, requests=rate_limit, spaces=Options(free=free_spaces))
    except DataInUse:
        raise fail(f"{data} দিয়ে আরেকটা Hub চলছে। সেটা থামাও, নয়তো --data দিয়ে অন্য folder দাও।") from None


@contextmanager
def database(data: Path, what: str) -> Iterator[Session]:
    """The accounts of a Hub, running or not; what it refuses ends the command in words."""
    from utils.hub.errors import HubError
    from utils.hub.hub import Hub

    hub = Hub(data)
    try:
        with hub.db() as db:
            yield db
    except HubError as error:
        raise fail(f"{what}: {error.message}") from None
    finally:
        hub.engine.dispose()


def named(db: Session, name: str, kind: str) -> Account:
    from utils.hub import accounts

    found = accounts.find(db, name)
    if found is None or found.kind != kind:
        word = "user" if kind == "user" else "organisation"
        raise fail(f"{name} নামে কোনো {word} নেই। আগে চালাও: pathshala hub {kind} add {name}")
    return found


@app.command()
def allowance(
    name: Annotated[str, typer.Argument(metavar="NAME", help="কার।")],
    calls: Annotated[int | None, typer.Option(min=0, help="আর কতগুলো inference call। না দিলে যত খুশি।")] = None,
    per_minute: Annotated[int | None, typer.Option(min=0, help="মিনিটে সবচেয়ে বেশি কতগুলো। না দিলে যত খুশি।")] = None,
    data: Data = DATA,
) -> None:
    """একজন কতটা inference চালাতে পারবে, ঠিক করো: শেষ হলে 402, মিনিটে বেশি হলে 429 পাবে।"""
    from utils.hub.inference.allowances import allow

    with database(data, name) as db:
        allow(db, named(db, name, "user"), calls=calls, per_minute=per_minute)
    typer.echo(
        f"{name}: call {'যত খুশি' if calls is None else calls}, মিনিটে {'যত খুশি' if per_minute is None else per_minute}"
    )


@user.command("add")
def add_user(
    name: Annotated[str, typer.Argument(help="user এর নাম, যেমন rahim।")],
    token: Annotated[str | None, typer.Option(help="নিজের পছন্দের token; না দিলে একটা বানানো হয়।")] = None,
    fullname: Annotated[str | None, typer.Option(help="পুরো নাম।")] = None,
    org: Annotated[
        list[str],
        typer.Option(help="যে organisation এ ঢুকবে, চাইলে role সহ: ORG:admin, ORG:write, ORG:contributor, ORG:read।"),
    ] = [],  # noqa: B006
    admin: Annotated[bool, typer.Option("--admin", help="সব repo তে লেখার অধিকার।")] = False,
    data: Data = DATA,
) -> None:
    """user বানাও আর তার token দেখাও। token টা এই একবারই দেখা যায়।"""
    from utils.hub import accounts

    with database(data, f"{name} যোগ হয়নি") as db:
        account = accounts.add(db, name, fullname=fullname, admin=admin)
        for place in org:
            organisation, _, role = place.partition(":")
            accounts.join(db, account, named(db, organisation, "org"), role or "write")
        secret = accounts.add_token(db, account, "cli", token=token)
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

    with database(data, f"{name} যোগ হয়নি") as db:
        accounts.add(db, name, kind="org", fullname=fullname, private_by_default=private_by_default)
    typer.echo(name)


@org.command("member")
def set_member(
    name: Annotated[str, typer.Argument(help="organisation এর নাম।")],
    member: Annotated[str, typer.Argument(metavar="USER", help="যাকে ঢোকাবে, বা যার role বদলাবে।")],
    role: Annotated[str, typer.Option(help="admin, write, contributor (নিজের বানানো repo তে লেখে) বা read।")] = "write",
    data: Data = DATA,
) -> None:
    """user কে organisation এ ঢোকাও, বা তার role বদলাও।"""
    from utils.hub import accounts

    with database(data, f"{member} কে {name} এ ঢোকানো গেল না") as db:
        accounts.join(db, named(db, member, "user"), named(db, name, "org"), role)
    typer.echo(f"{member}: {role}")


@token.command("add")
def add_token(
    owner: Annotated[str, typer.Argument(metavar="USER", help="যার token।")],
    name: Annotated[str, typer.Argument(help="token এর নাম, যেমন laptop।")],
    role: Annotated[str, typer.Option(help="read বা write।")] = "read",
    read: Annotated[
        list[str],
        typer.Option(metavar="PLACE", help="fine-grained: যা পড়তে পারবে। OWNER/NAME, datasets/OWNER/NAME, অথবা শুধু OWNER।"),
    ] = [],  # noqa: B006
    write: Annotated[list[str], typer.Option(metavar="PLACE", help="fine-grained: যেখানে লিখতে পারবে।")] = [],  # noqa: B006
    discuss: Annotated[
        list[str], typer.Option(metavar="PLACE", help="fine-grained: যেখানে discussion আর pull request খুলতে পারবে।")
    ] = [],  # noqa: B006
    gated: Annotated[bool, typer.Option("--gated", help="fine-grained: অনুমতি পাওয়া gated repo ও পড়তে পারবে।")] = False,
    data: Data = DATA,
) -> None:
    """user কে আরেকটা token দাও। token টা এই একবারই দেখা যায়।

    --read, --write, --discuss বা --gated দিলে token টা fine-grained হয়: শুধু সেই জায়গায় কাজ করে।
    """
    from utils.hub import accounts

    with database(data, f"{name} যোগ হয়নি") as db:
        scopes: dict[tuple[str, str], set[str]] = {}
        for places, permission in ((read, accounts.READ), (write, accounts.WRITE), (discuss, accounts.DISCUSS)):
            for place in places:
                scopes.setdefault(accounts.entity(db, place), set()).add(permission)
        fine_grained = scopes if scopes or gated else None
        secret = accounts.add_token(db, named(db, owner, "user"), name, role, scopes=fine_grained, gated=gated)
    typer.echo(secret)


@token.command("list")
def list_tokens(owner: Annotated[str, typer.Argument(metavar="USER", help="যার token।")], data: Data = DATA) -> None:
    """user এর token গুলোর নাম আর ক্ষমতা দেখাও। token নিজে কোথাও রাখা নেই।"""
    from utils.hub import accounts

    with database(data, f"{owner} এর token দেখানো গেল না") as db:
        for found in accounts.tokens(db, named(db, owner, "user")):
            scoped = (found.fine_grained or {}).get("scoped", [])
            reach = ", ".join(f"{s['entity']['name']} ({', '.join(s['permissions'])})" for s in scoped)
            typer.echo(f"{found.name}\t{found.role}\t{reach}".rstrip())


@token.command("revoke")
def revoke_token(
    owner: Annotated[str, typer.Argument(metavar="USER", help="যার token।")],
    name: Annotated[str, typer.Argument(help="token এর নাম।")],
    data: Data = DATA,
) -> None:
    """token বাতিল করো: পরের request থেকেই সেটা আর কাজ করে না।"""
    from utils.hub import accounts

    with database(data, f"{name} বাতিল হয়নি") as db:
        accounts.revoke(db, named(db, owner, "user"), name)
    typer.echo(f"বাতিল: {name}")


@app.command()
def methods(
    out: Annotated[Path, typer.Option(help="যে file এ তালিকা লেখা হবে।")] = Path("docs/hub-methods.md"),
) -> None:
    """client এর কোন method গুলো এই Hub এ চলে, তার তালিকা লেখো।"""
    import tempfile

    from utils.hub.app import create_app
    from utils.hub.hub import Hub
    from utils.hub.methods import markdown, table

    with tempfile.TemporaryDirectory() as folder:
        hub = Hub(Path(folder))
        rows = table(create_app(hub))
        hub.close()
    out.write_text(markdown(rows), encoding="utf-8")
    typer.echo(f"লেখা হয়েছে: {out}")


@app.command()
def check(data: Data = DATA) -> None:
    """Hub এর data গোটা পড়ে দেখো: কিছু হারিয়েছে বা আধখানা আছে কি না। Hub চলতে থাকলেও চলে।"""
    from utils.hub import care

    hub = opened(data)
    steps = care.steps(hub)
    with typer.progressbar(steps, label=f"{len(steps)}টা জিনিস দেখছি", file=sys.stderr) as bar:
        found = [finding for step in bar for finding in care.check(hub, step)]
    hub.close()
    for finding in found:
        typer.secho(
            f"{'✗' if finding.lost else '·'} {finding.where}: {finding.what}", fg="red" if finding.lost else None
        )
    lost = sum(finding.lost for finding in found)
    if lost:
        raise fail(f"{lost}টা জায়গায় data নষ্ট বা হারানো। backup থেকে ফেরাও, নয়তো file গুলো আবার push করো।")
    typer.echo(f"✓ {len(steps)}টা জিনিস দেখলাম, সব ঠিক আছে।")


@app.command()
def gc(
    hours: Annotated[float, typer.Option(min=0, help="এর চেয়ে নতুন কিছু মুছবে না: upload চলতে থাকতে পারে।")] = 24,
    data: Data = DATA,
) -> None:
    """যা কোনো repo র কাজে লাগে না, তা মুছে জায়গা খালি করো। Hub চলতে থাকলেও চলে।"""
    from utils.hub import care

    hub = opened(data)
    freed = care.collect(hub, hours)
    hub.close()
    typer.echo(f"মোছা হয়েছে: {freed.files}টা, {freed.bytes / 1e6:.1f} MB")


@app.command()
def publish(
    to: Annotated[str, typer.Option("--to", metavar="URL", help="যে Hub এ যাবে, যেমন https://huggingface.co।")],
    namespace: Annotated[str, typer.Option(metavar="NAME", help="ওখানে যে user বা organisation এর নামে থাকবে।")],
    names: Annotated[
        list[str] | None, typer.Argument(metavar="REPO", help="কোন repo গুলো, যেমন sentiment-bn। না দিলে সবগুলো।")
    ] = None,
    token: Annotated[
        str | None, typer.Option(help="ওই Hub এর write token; না দিলে HF_TOKEN, নয়তো hf auth login এর টা।")
    ] = None,
    private: Annotated[bool, typer.Option("--private", help="নতুন repo গুলো private হবে।")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="কিছু না পাঠিয়ে শুধু দেখাও কী কী যেত।")] = False,
) -> None:
    """course এর শুরুর repo গুলো অন্য Hub এ পাঠাও, commit আর tag সহ।

    ওখানে যা আছে তা আবার যায় না, আধখানা থাকলে বাকিটুকু যায়। একটা repo তে ভুল হলে বাকিগুলো তবু যায়, exit status হয় 1।
    """
    from utils.hub import remote
    from utils.hub.publish import NoSuchStarter, starters
    from utils.hub.publish import publish as send

    api = remote.client(to, token)
    if not api.token:
        login = "hf auth login" if api.endpoint == "https://huggingface.co" else f"HF_ENDPOINT={to} hf auth login"
        raise fail(f"{to} এ লেখার token নেই। --token দাও, নয়তো আগে চালাও: {login}", 2)
    try:
        chosen = starters(names)
        api.whoami()
    except NoSuchStarter as error:
        raise fail(f"{error} নামে শুরুর কোনো repo নেই। নাম দেখতে চালাও: pathshala starter list", 2) from None
    except remote.FAILURES as error:
        raise fail(f"{to}: {remote.reason(error)}", 2) from None
    failed = []
    for starter in chosen:
        try:
            sent = send(api, starter, namespace, private=private, dry_run=dry_run)
        except remote.FAILURES as error:
            failed.append(starter.name)
            typer.secho(f"✗ {starter.name}: {remote.reason(error)}", fg="red", err=True)
            continue
        parts = [
            *(["নতুন repo"] if sent.is_new else []),
            *([f"gated: {sent.gated}"] if sent.gated else []),
            *([f"{sent.files}টা file, {sent.bytes / 1e6:.1f} MB"] if sent.files else []),
            *([f"tag {', '.join(sent.tags)}"] if sent.tags else []),
            *([f"tag {', '.join(sent.left)} ওখানে আগের file এই রইল"] if sent.left else []),
        ]
        mark = "·" if not sent else "?" if dry_run else "✓"
        typer.echo(f"{mark} {starter.name} → {sent.repo_id}: {' · '.join(parts) or 'আগে থেকেই ঠিক আছে'}")
    if failed:
        raise fail(f"{len(chosen)}টা repo র {len(failed)}টা হয়নি: {', '.join(failed)}। কারণ সারিয়ে আবার চালাও।")
    typer.echo(f"✓ {len(chosen)}টা repo {'দেখা হলো, কিছু পাঠানো হয়নি' if dry_run else f'এখন {to} এ আছে'}।")


@app.command()
def mirror(
    repos: Annotated[
        list[str],
        typer.Argument(metavar="REPO", help="OWNER/NAME, datasets/OWNER/NAME, চাইলে শেষে @REVISION।"),
    ],
    source: Annotated[str, typer.Option("--from", metavar="URL", help="যে Hub থেকে আসবে।")] = "https://huggingface.co",
    include: Annotated[list[str], typer.Option(metavar="PATTERN", help='শুধু এমন নামের file, যেমন "*.json"।')] = [],  # noqa: B006
    exclude: Annotated[list[str], typer.Option(metavar="PATTERN", help='এমন নামের file বাদ, যেমন "*.bin"।')] = [],  # noqa: B006
    token: Annotated[
        str | None, typer.Option(help="private আর gated repo র জন্য ওই Hub এর token; না দিলে hf auth login এর টা।")
    ] = None,
    data: Data = DATA,
) -> None:
    """অন্য Hub এর repo নিজের Hub এ আনো, যাতে class এ internet ছাড়াই চলে। আনার সময় নিজের Hub বন্ধ রাখতে হয়।

    যে commit এলো তার পুরো id দেখায়: সেটা লিখে রাখলে পরে ঠিক সেটাই আনা যায় (OWNER/NAME@ID), আর নিজের Hub এ
    revision হিসেবেও দেওয়া যায়। থেমে গেলে একই command আবার চালাও: যেসব file নেমে গেছে সেগুলো আবার নামে না।
    """
    from utils.hub import remote
    from utils.hub.hub import DataInUse, Hub
    from utils.hub.mirror import mirror as bring
    from utils.hub.mirror import pin

    hub = Hub(data)
    try:
        hub.serving(patience=1)
    except DataInUse:
        raise fail(f"{data} দিয়ে একটা Hub চলছে। সেটা থামিয়ে repo গুলো আনো, তারপর আবার চালু করো।") from None
    api, failed = remote.client(source, token), []
    for repo in repos:
        try:
            pinned = pin(api, repo, include, exclude)
            typer.echo(f"↓ {pinned}: {len(pinned.files)}টা file, {pinned.bytes / 1e6:.1f} MB")
            typer.echo(f"✓ {pinned.repo_id}: {'এসে গেছে' if bring(hub, api, pinned) else 'আগে থেকেই আছে'}")
        except remote.FAILURES as error:
            failed.append(repo)
            typer.secho(f"✗ {repo}: {remote.reason(error)}", fg="red", err=True)
    hub.close()
    if failed:
        raise fail(f"{len(repos)}টা repo র {len(failed)}টা আসেনি: {', '.join(failed)}। কারণ সারিয়ে আবার চালাও।")


def opened(data: Path) -> Hub:
    """The Hub of a data directory that is there: a wrong path must not make an empty one and call it whole."""
    from utils.hub.hub import Hub

    if not (data / "hub.db").is_file():
        raise fail(f"{data} এ কোনো Hub এর data নেই। --data দিয়ে ঠিক folder দেখাও।")
    return Hub(data)
