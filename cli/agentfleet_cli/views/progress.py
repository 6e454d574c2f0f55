"""PURE. A task's events as the lines that somebody who waits for it wants to see."""

from agentfleet.models import TaskEvent, TaskInfo
from agentfleet_cli.views.words import dollars


def progress_line(event: TaskEvent) -> str | None:
    """None for what is no news: text as it comes, and the end, which the result shows."""
    match event.type:
        case "started":
            return "started"
        case "reset":
            return f"attempt {event.attempt} starts, from the last journaled step"
        case "step":
            cost = int(event.data.get("cost_nano_usd", 0))
            paid = f"  {dollars(cost, digits=6)}" if cost else ""
            return f"{event.data.get('kind', 'step')} {event.data.get('name', '')}{paid}"
    return None


def delay_line(task: TaskInfo) -> str:
    """Why a task that was parked, or will be tried again, does not go on now."""
    until = f" until {task.not_before:%Y-%m-%d %H:%M:%S %Z}" if task.not_before else ""
    return f"{task.state}{until}: {task.reason}" if task.reason else f"{task.state}{until}"
