"""Options that several verbs share."""

import click

at = click.option(
    "--at",
    default="latest",
    show_default=True,
    metavar="latest|POINT|TIME",
    help="As it was then: a restore point's name, or a time such as '2026-11-12 13:00'.",
)
yes = click.option("--yes", is_flag=True, help="Do it; without this only the plan is shown.")
plan_id = click.option("--plan", "plan_id", metavar="ID", help="Carry out this plan, and no other.")
tell = click.option(
    "--tell",
    default="",
    metavar="ADDRESS",
    help="Tell this address of start and end, besides the operators.",
)
reason = click.option(
    "--reason", default="", metavar="TEXT", help="Why; it goes into the audit line."
)
