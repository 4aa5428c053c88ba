"""Who or what may do what, as the workload's Cedar policies say; whatever is not clearly allowed is denied."""

from automation.policy.authorization.authorizer import Authorizer
from automation.policy.authorization.documents import AuthorizationInvalidError, Problem, problems
from automation.policy.authorization.requests import (
    Answer,
    Automation,
    Cases,
    ModelStage,
    Person,
    Request,
    Workload,
)

__all__ = [
    "Answer",
    "AuthorizationInvalidError",
    "Authorizer",
    "Automation",
    "Cases",
    "ModelStage",
    "Person",
    "Problem",
    "Request",
    "Workload",
    "problems",
]
