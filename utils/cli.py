"""The command `pathshala`. Each verb is one function of a package, imported when it is called: `--help` is instant."""

import sys
from pathlib import Path
from typing import Annotated

import typer
from typer.core import TyperGroup

from utils.course.tree import CourseError
from utils.hub.cli import app as hub_app
from utils.hub.local import HubFailed
from utils.starter.cli import app as starter_app

for stream in (sys.stdout, sys.stderr):
    # A pipe on Windows has the country's encoding, which cannot hold Bangla.
    if stream.encoding.lower() != "utf-8":
        stream.reconfigure(encoding="utf-8")


class Verbs(TyperGroup):
    """Shows a person's mistake as a sentence with the way out, not as a traceback."""

    def invoke(self, ctx: typer.Context) -> object:
        try:
            return super().invoke(ctx)
        except (CourseError, HubFailed) as error:
            typer.secho(f"✗ {error}", fg="red", err=True)
            raise typer.Exit(2) from None


app = typer.Typer(
    cls=Verbs,
    help="পাঠশালা: বাংলায় Hugging Face শেখার course, ভেতরে একটা ছোট Hub, সত্যি চলে।",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.add_typer(hub_app, name="hub")
app.add_typer(starter_app, name="starter")


@app.command()
def run(
    notebooks: Annotated[
        list[str] | None,
        typer.Argument(metavar="NOTEBOOK", help="কোনগুলো চলবে, যেমন 01_what_is_hugging_face। না দিলে সবগুলো।"),
    ] = None,
    hub: Annotated[str, typer.Option(help="local, অথবা অন্য Hub এর ঠিকানা।")] = "local",
    device: Annotated[str, typer.Option(help="auto, cpu অথবা cuda।")] = "auto",
    out: Annotated[Path, typer.Option(help="যে folder এ সব ফলাফল যাবে।")] = Path("build"),
    chapters: Annotated[Path | None, typer.Option(help="notebook এর folder। না দিলে course এর chapters।")] = None,
    timeout: Annotated[int, typer.Option(min=1, help="একটা cell সবচেয়ে বেশি কত সেকেন্ড চলতে পারে।")] = 600,
    write_budget: Annotated[
        bool, typer.Option("--write-budget", help="মাপা সময়, download আর RAM অধ্যায়ে লিখে দাও (CPU তে মাপে)।")
    ] = False,
) -> None:
    """অধ্যায়গুলো একটা একটা করে চালাও: প্রতিটার নিজের kernel, নিজের নতুন Hub।

    শেষে একটা টেবিল, আর build/report.html এ পুরো ফলাফল। কোনোটায় ভুল থাকলে বাকিগুলো তবু চলে, exit status হয় 1।
    """
    from utils.course.run import run

    results = run(notebooks, out, hub, device, chapters, timeout, write_budget)
    if any(row.state != "ok" for row in results):
        raise typer.Exit(1)


@app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def lab(context: typer.Context) -> None:
    """JupyterLab এ course টা খোলো, পাশে চলবে local Hub। থামাতে Ctrl-C।

    JupyterLab এর নিজের option ও দেওয়া যায়: pathshala lab --no-browser --port=9999
    """
    from utils.course.lab import lab

    lab(context.args)


@app.command()
def reset(yes: Annotated[bool, typer.Option("--yes", help="জিজ্ঞেস না করেই মুছে দাও।")] = False) -> None:
    """নিজের local Hub আর cache মুছে একদম গোড়া থেকে শুরু করো। local Hub এ push করা সব repo যাবে।"""
    from utils.notebook import workspace

    folder = workspace.home()
    if not folder.is_dir():
        typer.echo("মোছার কিছু নেই।")
        return
    if not yes:
        typer.confirm(f"{folder} মুছে যাবে, তোমার local repo গুলো সহ। মুছব?", abort=True)
    workspace.reset()
    typer.echo(f"মুছে গেছে: {folder}")


@app.command()
def repo(
    address: Annotated[str | None, typer.Argument(metavar="OWNER/NAME", help="GitHub এ course এর নতুন ঠিকানা।")] = None,
) -> None:
    """course এর GitHub ঠিকানা দেখাও বা বদলাও; badge আর Colab এর cell গুলো সেই ঠিকানায় মেলাও।"""
    from utils.course.address import repository, rewrite

    changed = rewrite(address)
    typer.echo(repository())
    for path in changed:
        typer.echo(f"বদলেছে: {path}")


@app.command()
def release(
    names: Annotated[list[str] | None, typer.Argument(metavar="NAME", help="কোন অনুশীলনগুলো। না দিলে সবগুলো।")] = None,
    student: Annotated[
        Path | None, typer.Option(metavar="DIR", help="পুরো course এর শিক্ষার্থী-সংস্করণ লেখো এই নতুন folder এ।")
    ] = None,
) -> None:
    """solutions/ থেকে শিক্ষার্থীদের exercises/ বানাও।

    --student DIR দিলে course টা DIR এ লেখে: সমাধান, লুকানো পরীক্ষা আর ভুল উত্তরের তালিকা ছাড়া।
    """
    from utils.course.release import release, student_edition

    if student is None:
        release(names)
        return
    if names:
        raise typer.BadParameter("শিক্ষার্থী-সংস্করণে সব অনুশীলনই যায়: NAME ছাড়া চালাও।")
    student_edition(student)
    typer.echo(f"শিক্ষার্থী-সংস্করণ তৈরি: {student}")


@app.command()
def lint(fix: Annotated[bool, typer.Option("--fix", help="যা যন্ত্র নিজেই সারাতে পারে, সারাও।")] = False) -> None:
    """অধ্যায় আর অনুশীলন নিয়ম মেনে লেখা কি না দেখো: এক লাইনে একটা ভুল, কোথায়, কী, কীভাবে সারবে।"""
    from utils.course.lint import lint
    from utils.course.lint.repair import repair

    if fix:
        for name in repair():
            typer.echo(f"সারানো: {name}")
    findings = lint()
    for finding in findings:
        typer.echo(str(finding))
    if findings:
        typer.secho(f"✗ {len(findings)}টা ভুল।", fg="red", err=True)
        raise typer.Exit(1)
    typer.echo("✓ সব notebook নিয়ম মেনে লেখা।")


@app.command()
def prove(
    names: Annotated[list[str] | None, typer.Argument(metavar="NAME", help="কোন অনুশীলনগুলো। না দিলে সবগুলো।")] = None,
) -> None:
    """পরীক্ষাগুলো ঠিকমতো নম্বর দেয় কি না প্রমাণ করো: সমাধান পুরো পায়, খালি খাতা শূন্য, প্রতিটা ভুল উত্তর নিজের ইঙ্গিত।"""
    from utils.course.prove import prove

    tried, failed = 0, 0
    for verdict in prove(names):
        tried += 1
        if not verdict.holds:
            failed += 1
            typer.secho(
                f"✗ {verdict.assignment} · {verdict.task} · {verdict.answer}: {verdict.earned:g}/{verdict.points:g}, "
                f"দেখাল: {verdict.said or 'কিছু না'}",
                fg="red",
            )
    typer.echo(f"{'✗' if failed else '✓'} {tried}টা উত্তর দেখা হলো, {failed}টায় নম্বর বা ইঙ্গিত ঠিক না।")
    if failed:
        raise typer.Exit(1)
