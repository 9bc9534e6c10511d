"""No DAG: a definition that cannot be read is this file's import error, with file, line and field.

Airflow drops all DAGs of a file that does not import. This one has none: a broken model takes no other's DAGs along.
"""

from __future__ import annotations

from evergreen.core.definition import list_models, load_definition

for _name in list_models():
    load_definition(_name)
