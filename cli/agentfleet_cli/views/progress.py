"""PURE. A task's events as the lines that somebody who waits for it wants to see."""

from datetime import datetime

from agentfleet.models import TaskEvent, TaskInfo
from agentfleet_core.budget.money import exact_usd

LONG_WAIT_SECONDS = 60.0


def progress_line(event: TaskEvent) -> str | None:
    """None for what is no news: text as it comes, and the end, which the result shows."""
    match event.type:
        case "started":
            return "started"
        case "reset" if "step" not in event.data:
            return f"attempt {event.attempt} starts, from the last journaled step"
        case "step":
            if event.data.get("error"):
                return f"{event.data.get('kind')} {event.data.get('name')} failed: {event.data['error']}"
            cost = int(event.data.get("cost_nano_usd", 0))
            paid = f"  {exact_usd(cost)}" if cost else ""
            return f"{event.data.get('kind', 'step')} {event.data.get('name', '')}{paid}"
    return None


def long_wait_line(task: TaskInfo, now: datetime) -> str | None:
    """What to do about a task that is parked for longer than somebody watches; None for a short wait."""
    if task.state != "parked":
        return None
    if task.not_before is not None and (task.not_before - now).total_seconds() <= LONG_WAIT_SECONDS:
        return None
    return (
        f"Ctrl-C leaves it waiting: agentfleet get task/{task.id}\n"
        "  (--timeout SECONDS bounds the wait; --mode reject refuses what would have to wait)"
    )


def delay_line(task: TaskInfo) -> str:
    """Why a task that was parked, or will be tried again, does not go on now."""
    until = f" until {task.not_before:%Y-%m-%d %H:%M:%S %Z}" if task.not_before else ""
    return f"{task.state}{until}: {task.reason}" if task.reason else f"{task.state}{until}"
