"""`agentfleet`: the command line. Verbs are in `verbs/`, a file each; here they are only gathered."""

import typer

from agentfleet_cli.output import EXIT_CODES_HELP
from agentfleet_cli.verbs.cancel import cancel
from agentfleet_cli.verbs.demo import demo
from agentfleet_cli.verbs.dev import dev
from agentfleet_cli.verbs.get import get
from agentfleet_cli.verbs.pause import pause, resume
from agentfleet_cli.verbs.simulate_api import simulate_api
from agentfleet_cli.verbs.submit import submit
from agentfleet_cli.verbs.unpin import unpin
from agentfleet_cli.verbs.validate import validate
from agentfleet_cli.verbs.watch import watch
from agentfleet_cli.verbs.why import why

app = typer.Typer(
    name="agentfleet",
    help="Run fleets of LLM agents: submit tasks, watch pools, budgets and reasons.",
    epilog=EXIT_CODES_HELP,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

RUN, WORK, STEER = "Run a fleet here", "Work with a fleet", "Steer a fleet"
app.command(rich_help_panel=RUN)(dev)
app.command(rich_help_panel=RUN)(demo)
app.command("simulate-api", rich_help_panel=RUN)(simulate_api)
app.command(rich_help_panel=RUN)(validate)
app.command(rich_help_panel=WORK)(submit)
app.command(rich_help_panel=WORK)(get)
app.command(rich_help_panel=WORK)(watch)
app.command(rich_help_panel=WORK)(why)
app.command(rich_help_panel=WORK)(cancel)
app.command(rich_help_panel=STEER)(pause)
app.command(rich_help_panel=STEER)(resume)
app.command(rich_help_panel=STEER)(unpin)
