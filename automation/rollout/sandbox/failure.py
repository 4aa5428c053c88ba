"""The ways in which a foreign model can fail, in words for whoever registered it."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from automation.errors import WarrantError


class Failure(StrEnum):
    """What went wrong, of the kinds that ask for different things to be done."""

    NO_MODEL = "no model"
    WRONG_SIGNATURE = "wrong signature"
    MISSING_PACKAGE = "missing package"
    FORBIDDEN = "forbidden"
    TIMED_OUT = "timed out"
    OUT_OF_MEMORY = "out of memory"
    CRASHED = "crashed"
    RAISED = "raised an error"
    WRONG_ANSWER = "wrong answer"
    UNPROTECTED = "not run"


_REMEDIES: Final = {
    Failure.NO_MODEL: "Register it again with mlflow's `log_model`; a model is a folder of plain files.",
    Failure.WRONG_SIGNATURE: "Register it with a signature (`mlflow.models.infer_signature`) of the features that the "
    "workload serves, by their names and types.",
    Failure.MISSING_PACKAGE: "Register a model that needs only packages that are installed here, or have the package "
    "added to the platform's environment.",
    Failure.FORBIDDEN: "A model may compute and read its own files, no more. Whatever it needs must be among its files "
    "or its features. Ask who registered it why it tries this.",
    Failure.TIMED_OUT: "Make it faster, or raise the limit on time if the workload can wait.",
    Failure.OUT_OF_MEMORY: "Make it smaller, or raise the limit on memory.",
    Failure.CRASHED: "Load it and predict with it in a fresh Python process, with the packages of requirements.lock.",
    Failure.RAISED: "Load it and predict with it in a fresh Python process, with the packages of requirements.lock.",
    Failure.WRONG_ANSWER: "It must answer the probability of each row, in its order: one number from 0 to 1.",
    Failure.UNPROTECTED: "Run this on Linux 5.13 or later with Landlock and seccomp, on x86_64 or aarch64 (`warrant "
    "doctor` says what is missing), or register a LightGBM booster, whose files hold no code.",
}


class ModelFailedError(WarrantError):
    """A model did not do what a model has to: ``kind`` says which way, ``says`` how, in words."""

    def __init__(self, kind: Failure, says: str) -> None:
        super().__init__(f"The model failed ({kind}): {says}.", remedy=_REMEDIES[kind])
        self.kind = kind
        self.says = says
