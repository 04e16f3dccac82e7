"""Parameters of the flow as the form of the Prefect UI and its API know them: typed, bounded, all of them optional.

Python itself takes any name and value here. params.yaml is checked as a whole once they are put in, which tells every
fault at once, with the nearest name (`flows.workspace`).
"""

from typing import Annotated, Any

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    WithJsonSchema,
    create_model,
)
from pydantic.fields import FieldInfo
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from pan_core.datasets.registry import REGISTRY
from pan_core.params.load import Params
from pan_core.params.schema import ParamsSection
from pan_core.stages import STAGES

# Prefect's form shows what may be None as a button that opens it. Sections are so, and switches, which otherwise could
# not be left alone: they stand at "off". All other values stand open; left empty, they are not sent.
OPEN = "change"


def _for_people(schema: dict[str, Any]) -> None:
    schema["title"] = OPEN
    for name, shown in schema["properties"].items():
        value = shown["anyOf"][0]
        if "$ref" not in value and value.get("type") != "boolean":
            del shown["anyOf"], shown["default"]
            shown |= value
        shown["title"] = name


def _form(section: type[BaseModel], *, without: frozenset[str] = frozenset()) -> type[BaseModel]:
    """A section in which every value may be left out, with the types and bounds that it has."""
    fields: dict[str, Any] = {
        name: (_kind(field) | None, Field(default=None, alias=field.alias, description=_description(field)))
        for name, field in section.model_fields.items()
        if name not in without
    }
    return create_model(
        section.__name__,
        __doc__=section.__doc__,
        __config__=ConfigDict(extra="forbid", json_schema_extra=_for_people),
        **fields,
    )


def _kind(field: FieldInfo) -> Any:
    kind: Any = field.annotation
    if isinstance(kind, type) and issubclass(kind, ParamsSection):
        return _form(kind)
    return Annotated[kind, *field.metadata] if field.metadata else kind


def _description(field: FieldInfo) -> str | None:
    kind = field.annotation
    return kind.__doc__ if isinstance(kind, type) and issubclass(kind, ParamsSection) else None


class _ShownAs:
    """Leaves a type as it is and shows the form of a model for it."""

    def __init__(self, model: type[BaseModel]) -> None:
        self._model = model

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return handler(source)

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return handler(self._model.__pydantic_core_schema__)


DatasetName = Annotated[str, WithJsonSchema({"type": "string", "enum": list(REGISTRY), "title": OPEN})]
Targets = Annotated[
    list[str], WithJsonSchema({"type": "array", "items": {"type": "string", "enum": list(STAGES)}, "title": OPEN})
]
Overrides = Annotated[dict[str, Any], _ShownAs(_form(Params, without=frozenset({"dataset"})))]
"""Values nested like params.yaml; what is left out or None is as params.yaml has it."""
