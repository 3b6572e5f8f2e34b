"""The lowest opset and IR version of ONNX in which a graph can be written as it is."""

from __future__ import annotations

from typing import Any

LOWEST_OPSET = 13  # no graph of ours consists of older operators


def lower(model: Any) -> None:
    """Give a graph the lowest opset whose operators do all that its nodes ask for, and the lowest IR version of it.

    A newer version of an operator adds an attribute, an input or a type. A node that uses none of them is also one of
    the older version; an attribute with its default value is dropped where the older version does not have it.

    Args:
        model: an `onnx.ModelProto` as torch's exporter made it, changed in place.
    """
    from onnx import NodeProto, checker, defs, helper, shape_inference

    for part in (model.graph, *model.graph.node, *model.graph.input, *model.graph.output, *model.graph.value_info):
        del part.metadata_props[:]  # notes of the exporter, which came with a later IR version
    opset = next(one for one in model.opset_import if not one.domain)
    newest, made = opset.version, [NodeProto.FromString(node.SerializeToString()) for node in model.graph.node]
    for opset.version in range(min(LOWEST_OPSET, newest), newest + 1):
        model.ir_version = helper.find_min_ir_version_for(list(model.opset_import), ignore_unknown=True)
        context = checker.C.CheckerContext()
        context.ir_version, context.opset_imports = model.ir_version, {"": opset.version}
        try:
            nodes = [_of_opset(opset.version, node, newest) for node in made]
            del model.graph.node[:]
            model.graph.node.extend(nodes)
            for node in nodes:
                checker.check_node(node, context)
            checker.check_model(model, full_check=True)  # also the types that the operators take
            break
        except (checker.ValidationError, defs.SchemaError, shape_inference.InferenceError):
            continue  # the last one is as it was made, and onnxruntime says what is wrong with it


def _of_opset(version: int, node: Any, newest: int) -> Any:
    """Copy a node without attributes that its operator lacks in an opset, where they have their default values.

    Raises:
        onnx.defs.SchemaError: the opset has no such operator.
    """
    from onnx import NodeProto, defs, helper

    older, newer = (defs.get_schema(node.op_type, opset, node.domain) for opset in (version, newest))
    copy = NodeProto()
    copy.CopyFrom(node)
    del copy.attribute[:]
    for one in node.attribute:
        default = newer.attributes[one.name].default_value
        is_default = default.type == one.type and helper.get_attribute_value(default) == helper.get_attribute_value(one)
        if one.name in older.attributes or not is_default:
            copy.attribute.append(one)
    return copy
