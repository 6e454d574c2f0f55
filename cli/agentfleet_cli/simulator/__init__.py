"""A server that speaks the Anthropic Messages API, to rehearse a fleet with before spending a cent.

It is reached through the real `anthropic` SDK by `base_url`, decides everything from a seed, and keeps a bill
of its own: it never imports the ledger's prices, so that its bill is a second opinion.

Start it with `agentfleet simulate-api` or `python -m agentfleet_cli.simulator`; `--help` lists the knobs.

**Scripts.** What a model answers is made up from the seed, unless a script says it. A script is a JSON object
after `sim:` anywhere in the system prompt or the first user message (so that a TaskType's prompt or a task's
input can carry it), or a scene of a scenario file (`--scenario`):

    sim:{"turns": [{"tool": "lookup_order", "input": {"order": "A-1001"}}, {"text": "It ships today."}],
         "seconds": 0.2, "fail": ["529", "cut"], "mark": "task-7"}

The turn is the number of assistant messages in the request, so a script needs no memory; the last turn
answers all later ones. Fields of a script: `turns` (each: `text`, a string or any JSON; `tool` with `input`;
`tools`, a list of these; `thinking`, tokens; `tokens`, output tokens that the text is padded to; `stop`, a
stop reason), or `text`, `tool`, `input`, `thinking`, `tokens`, `stop` directly for one turn; `seconds` and
`first_token_seconds`; `events` (text deltas); `fail`, faults of the first calls of each turn, in order;
`retry_after` of a scripted 429 or 529; `mark`, the name under which `GET /sim/calls` counts. Faults: `400 401
403 404 413 429 500 504 529`, `cut` (the connection drops part way), `event` (an error event inside the
stream), `hang` (no answer at all).

A scenario file is YAML: `scenes`, each with `when` (regular expressions for `system`, `prompt`, `model`;
`tool`, an offered tool) and `script`. The first that matches speaks. Named groups of the expressions stand in
the script's strings as `${name}`, beside `${tool_result}`, the text of the newest tool result.

**Second opinion.** `GET /sim/bill` (total, by key, by model, in nano-USD), `GET /sim/calls` (each call, and
how often each turn of each mark was answered), `POST /sim/behaviour` (change knobs while it runs), `POST
/sim/reset`."""
