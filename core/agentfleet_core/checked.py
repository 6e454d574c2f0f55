"""`dataclass` for what is built several times a task: the type checker holds `frozen`, nobody at run time.

A frozen dataclass sets each field by `object.__setattr__`: 0.9 µs for thirteen fields where plain ones take
0.12, and a short task builds eight of them. Everything else takes `dataclasses.dataclass`.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dataclasses import dataclass as dataclass
else:
    import dataclasses

    def dataclass(*, frozen: bool, slots: bool) -> Any:
        """Compared and hashed as a frozen one is."""
        return dataclasses.dataclass(unsafe_hash=frozen, slots=slots)
