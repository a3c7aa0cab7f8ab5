"""What people do with a network, and how well it does it."""

from sangbo.graph import Graph
from sangbo.tasks.embed import Embed
from sangbo.tasks.generate import Generate
from sangbo.tasks.likelihood import Categorical, Gaussian, Likelihood
from sangbo.tasks.phonemes import Phonemes
from sangbo.tasks.pictures import Classify, Draw, ReadText
from sangbo.tasks.task import Amount, Draft, Plain, Task
from sangbo.tasks.transcribe import Transcribe
from sangbo.tasks.translate import Translate
from sangbo.tasks.voice import DetectVoice

TASKS: dict[str, Task] = {
    task.name: task
    for task in (
        Generate(), Translate(), Embed(), Classify(), ReadText(), Phonemes(), Transcribe(),
        DetectVoice(), Draw(),
    )
}  # fmt: skip
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
