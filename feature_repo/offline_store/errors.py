"""What may be wrong with a retrieval or a write, each with a name."""


class KnownTimeMissingError(ValueError):
    """A source does not say when its rows were known: give it a `created_timestamp_column`."""


class SourceError(ValueError):
    """A view's source is not a Delta `FileSource` with a path inside the lakehouse."""


class TableColumnsError(ValueError):
    """A Delta table lacks a column that was asked for, or holds it in a type that cannot serve."""


class EntityFrameError(ValueError):
    """The entity rows lack a column, have one of the wrong type, or one that a feature would overwrite."""


class EntityQueryError(ValueError):
    """The SQL that shall give the entity rows cannot be run."""


class WriteRefusedError(ValueError):
    """Rows do not fit the table they shall be written to, or would never be used there."""


class UnsupportedRetrievalError(NotImplementedError):
    """A way of asking for features that this store does not offer."""
