"""`gateway policy`: test policies, ask them why, compare them, look for what is suspicious in them, and promote shadow rules."""

import typer

from gateway.cli import policy_cases, policy_diff, policy_explain, policy_lint, policy_promote

app = typer.Typer(no_args_is_help=True, add_completion=False, rich_markup_mode=None, help="Test, explain and compare policies.")
app.command("test")(policy_cases.run_cases)
app.command("explain")(policy_explain.explain)
app.command("diff")(policy_diff.diff)
app.command("lint")(policy_lint.lint)
app.command("promote")(policy_promote.promote)
