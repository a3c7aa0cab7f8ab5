"""What people do with a network, and how well it does it."""

from sangbo.graph import Graph
from sangbo.tasks.generate import Generate
from sangbo.tasks.likelihood import Categorical, Gaussian, Likelihood
from sangbo.tasks.task import Amount, Draft, Plain, Task

TASKS: dict[str, Task] = {task.name: task for task in (Generate(),)}
"""Every task that is known, by the name that graphs state."""


def task_of(graph: Graph) -> Task:
    """The task that ``graph`` states; a plain one with logits where it states none that is known.

    A graph with the inputs of a language model generates text.
    """
    stated = graph.metadata.get("task")
    if stated in TASKS:
        return TASKS[str(stated)]
    if set(graph.inputs) == {"tokens", "positions", "selected"}:
        return TASKS["generate"]
    return Plain(str(stated or "plain"))


__all__ = [
    "TASKS",
    "Amount",
    "Categorical",
    "Draft",
    "Gaussian",
    "Generate",
    "Likelihood",
    "Plain",
    "Task",
    "task_of",
]
