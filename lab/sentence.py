"""What every model of the lab says; apart from the models, as stand-ins are started often."""

import re

SENTENCE = "The herd is awake, fed and ready to answer."


def words(sentence: str = SENTENCE) -> list[str]:
    """The pieces of the sentence as the model says them, each with its leading space."""
    return re.findall(r"\s*\S+", sentence)
