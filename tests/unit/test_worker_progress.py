"""What followers read of a call's text while it comes."""

import json

from agentfleet_core.queue.envelope import Event
from agentfleet_worker.calls.progress import Progress


async def test_what_a_cut_call_said_is_taken_back_once_and_only_from_those_who_were_told() -> None:
    events: list[Event] = []
    progress = Progress(events.append)
    step = ("p.1", 1, "answer")
    progress.text(*step, "Nobody heard this. ")
    progress.retract_step(*step)
    progress.text(*step, "Good bye")
    progress.flush()
    progress.retract_step(*step)
    progress.retract_step(*step)
    progress.text(*step, "Hello")
    progress.flush()
    progress.flush_step(*step)
    progress.retract_step(*step)  # whole and journaled: nothing is taken back
    assert [(event.type, json.loads(event.data)) for event in events] == [
        ("delta", {"step": "answer", "text": "Good bye"}),
        ("reset", {"step": "answer"}),
        ("delta", {"step": "answer", "text": "Hello"}),
    ]
