"""`pathshala starter …`: the repos the Hub is born with, built anew or measured."""

from typing import Annotated

import typer

from utils.starter.build import NoSuchStarter

app = typer.Typer(no_args_is_help=True, help="Hub এর শুরুর repo গুলো: আবার বানাও, card এর হিসাব মিলিয়ে দেখো।")


def _script(name: str):
    from utils.starter.build import script

    try:
        return script(name)
    except NoSuchStarter as error:
        typer.secho(f"✗ {error}", fg="red", err=True)
        raise typer.Exit(2) from None


@app.command("list")
def list_() -> None:
    """কোন কোন repo আছে।"""
    from utils.starter.build import names

    for name in names():
        typer.echo(f"{name:32} {_script(name).REPO}")


@app.command()
def build(name: Annotated[str, typer.Argument(metavar="NAME", help="যেমন sentiment-bn।")]) -> None:
    """একটা repo শূন্য থেকে বানাও: data, training, মাপা, card। CPU তে কয়েক মিনিট।"""
    _script(name).build()


@app.command()
def check(
    wanted: Annotated[list[str] | None, typer.Argument(metavar="NAME", help="কোনগুলো। না দিলে সবগুলো।")] = None,
) -> None:
    """যা সঙ্গে দেওয়া আছে তা আবার মাপো, card এ লেখা সংখ্যার সঙ্গে মেলাও। না মিললে exit status 1।"""
    from utils.starter.build import check, names

    wrong = 0
    for name in wanted or names():
        _script(name)
        for figure in check(name):
            stated = "card এ নেই" if figure.stated is None else f"card এ {figure.stated:.4f}"
            typer.echo(f"{'✓' if figure.holds else '✗'} {name:28} {figure.name:36} {figure.measured:.4f}  {stated}")
            wrong += not figure.holds
    if wrong:
        typer.secho(f"✗ {wrong}টা সংখ্যা card এর সঙ্গে মেলেনি।", fg="red", err=True)
        raise typer.Exit(1)
