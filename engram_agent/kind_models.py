"""What each kind of experience has of its own, checked by pydantic.

It must not know where experiences are kept; it is imported only when one is recorded, for pydantic takes its time.
"""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class Kind(BaseModel):
    """Any kind: what it does not know is kept as it is."""

    model_config = ConfigDict(extra="allow", frozen=True)


class DecisionPattern(Kind):
    """What was chosen in a situation, and how well that went."""

    decision_context: str = ""
    chosen_action: str = ""
    outcome_quality: float | None = Field(default=None, ge=0.0, le=1.0)
    alternative_actions: list[str] = []


class FailurePattern(Kind):
    """What goes wrong, why, and what helps against it."""

    error_signature: str = ""
    root_cause: str = ""
    solution_applied: str = ""
    prevention_strategy: str = ""


class SuccessPattern(Kind):
    """What works in a situation, and how to do it again."""

    context_signature: str = ""
    successful_approach: str = ""
    key_factors: list[str] = []
    replication_steps: list[str] = []


class Collaboration(Kind):
    """What came of working with others."""

    partner_agents: list[str] = []
    interaction_type: str = ""
    outcome: str = ""
    lessons_learned: list[str] = []


class ContextKnowledge(Kind):
    """What is known about a domain."""

    domain: str = ""
    knowledge_type: str = ""
    expertise_level: str = ""
    related_entities: list[str] = []


class DecisionTemplate(Kind):
    """How to decide in situations of one sort."""

    template_name: str = ""
    decision_context: str = ""
    criteria: list[str] = []
    recommended_action: str = ""
    alternative_actions: list[str] = []


MODELS: dict[str, type[Kind]] = {
    "decision": DecisionPattern,
    "failure": FailurePattern,
    "success": SuccessPattern,
    "collaboration": Collaboration,
    "knowledge": ContextKnowledge,
    "template": DecisionTemplate,
}
