"""The root of every error that Warrant raises on purpose.

An error here is written for the person who has to act on it: its message says what happened, its
remedy what to do next. The command line prints both and no traceback.
"""

from __future__ import annotations


class WarrantError(Exception):
    """Something a person can put right: ``message`` says what happened, ``remedy`` what to do."""

    def __init__(self, message: str, *, remedy: str) -> None:
        super().__init__(message, remedy)
        self.message = message
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.message}\n{self.remedy}"
