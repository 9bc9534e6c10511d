"""The errors Evergreen raises on purpose. Each message says what was wrong, where, and what to do next.

The DAGs map these classes to retries: `BadInputError` and its children fail at once (a second try reads the same
bytes), `UnavailableError` is retried (the other side may recover).
"""


class EvergreenError(Exception):
    """Base class of everything Evergreen raises on purpose."""


class BadInputError(EvergreenError):
    """Something a person handed in is wrong: trying again cannot help."""


class DefinitionError(BadInputError):
    """A model definition is missing, malformed or contradicts itself."""


class PartitionKeyError(BadInputError):
    """A partition key is malformed, or not the first day of a period of the model's calendar."""


class QuarantinedError(BadInputError):
    """A partition failed validation. It is kept in quarantine; nothing downstream ran."""


class CollectedError(BadInputError):
    """What was asked for has been collected, as the model's retention says. The ledger's rows about it are there."""


class NotReadyError(EvergreenError):
    """What a step needs does not exist yet (no champion, too few labelled rows). Not a fault: it is skipped."""


class RefusedError(EvergreenError):
    """A gate or a guard said no."""


class UnavailableError(EvergreenError):
    """A server or a disk did not answer as it should; trying again may help."""


class SettingsError(EvergreenError):
    """The environment does not say where a part of the system is."""
