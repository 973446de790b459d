"""Prompts in searches of the registry: they are registered models, and hidden unless a filter asks for them.

MLflow's rule: the first comparison of the tag ``mlflow.prompt.is_prompt`` decides. ``= 'true'`` and ``!= 'false'`` (in
any case) ask for prompts, and the filter then counts as it is. Any other one is left out of the filter, as models
have no such tag, and prompts are hidden. Below OR and NOT, which MLflow does not know, the filter counts as it is.
"""

from typing import List, Optional, Tuple

from trackd.entities import IS_PROMPT_TAG
from trackd.search.clause import TAG, And, Clause, Comparison, Not

_ASKS = frozenset({("=", "true"), ("!=", "false")})


def split(clause: Optional[Clause]) -> Tuple[bool, Optional[Clause]]:
    """Whether prompts are to be found, and what is left of the filter."""
    if clause is None:
        return False, None
    parts = clause.parts if isinstance(clause, And) else (clause,)
    for part in parts:
        if _is_about_prompts(part):
            if isinstance(part, Comparison) and (part.operator, str(part.value).lower()) not in _ASKS:
                return False, _without(parts)
            return True, clause
    return False, clause


def _is_about_prompts(clause: Clause) -> bool:
    """Whether the tag is named anywhere in it."""
    pending: List[Clause] = [clause]
    while pending:
        part = pending.pop()
        if isinstance(part, Comparison):
            if (part.kind, part.key) == (TAG, IS_PROMPT_TAG):
                return True
        elif isinstance(part, Not):
            pending.append(part.part)
        else:
            pending.extend(part.parts)
    return False


def _without(parts: Tuple[Clause, ...]) -> Optional[Clause]:
    """The parts that do not compare the tag."""
    left = tuple(
        part
        for part in parts
        if not (isinstance(part, Comparison) and (part.kind, part.key) == (TAG, IS_PROMPT_TAG))
    )
    return And(left) if len(left) > 1 else (left[0] if left else None)
