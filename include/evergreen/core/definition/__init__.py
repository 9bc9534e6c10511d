"""Model definitions, partitions and the calendar: the foundation every stage reads."""

from evergreen.core.definition.calendar import Calendar, Period
from evergreen.core.definition.load import list_models, load_definition
from evergreen.core.definition.model import ModelDefinition

__all__ = ["Calendar", "ModelDefinition", "Period", "list_models", "load_definition"]
