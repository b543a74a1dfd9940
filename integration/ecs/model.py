"""What botocore's model of ECS says of requests and answers. botocore itself reads answers leniently: what an answer has too
much, it drops; what has the wrong type, it passes on. So answers are walked here, member by member."""

import botocore.session
from botocore.validate import ParamValidator

SERVICE = botocore.session.Session().get_service_model("ecs")

# What each type of the model is in JSON. Timestamps are seconds since 1970 in the JSON protocol.
JSON_TYPES = {
    "string": str, "boolean": bool, "integer": int, "long": int, "double": (int, float), "float": (int, float),
    "timestamp": (int, float), "structure": dict, "list": list, "map": dict,
}


def request_problems(operation, request):
    """What is wrong with a request as it goes over the wire; unknown members are."""
    shape = SERVICE.operation_model(operation).input_shape
    return [line for line in ParamValidator().validate(request, shape).generate_report().splitlines() if line]


def answer_problems(operation, answer):
    """What is wrong with an answer as it came over the wire."""
    return list(walk(answer, SERVICE.operation_model(operation).output_shape, operation))


def error_problems(operation, error):
    """What is wrong with an error: its code must be one of the operation's, or one that all have."""
    code = error.get("__type", "")
    common = {"ThrottlingException", "UnknownOperationException", "SerializationException"}
    shapes = {shape.name: shape for shape in SERVICE.operation_model(operation).error_shapes}
    if not isinstance(error.get("message"), str):
        return [f"{operation}: {code} has no message"]
    if code in shapes:
        return list(walk({key: value for key, value in error.items() if key != "__type"}, shapes[code], code))
    return [] if code in common else [f"{operation}: {code} is none of its errors"]


def walk(value, shape, path):
    kind = JSON_TYPES[shape.type_name]
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        yield f"{path}: {type(value).__name__}, not {shape.type_name}"
        return
    if shape.type_name == "structure":
        for name in shape.required_members:
            if name not in value:
                yield f"{path}: {name} is missing"
        for name, member in value.items():
            if name in shape.members:
                yield from walk(member, shape.members[name], f"{path}.{name}")
            else:
                yield f"{path}: {name} is unknown"
    elif shape.type_name == "list":
        for i, member in enumerate(value):
            yield from walk(member, shape.member, f"{path}[{i}]")
    elif shape.type_name == "map":
        for name, member in value.items():
            yield from walk(member, shape.value, f"{path}.{name}")
    elif shape.type_name == "string" and getattr(shape, "enum", None) and value not in shape.enum:
        yield f"{path}: {value!r} is none of {shape.enum}"
