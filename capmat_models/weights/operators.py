"""What a network from elsewhere may do: its operators are read before it runs for the first time.

TorchScript has operators that read and write files (`aten::from_file`, `aten::save`), ONNX has weights that lie in
other files, and onnxruntime has operators that open them. So nothing runs that is not in a list of what networks
need: sums, convolutions, resizing, sorting, ... TorchScript may also run code while it is opened (`__setstate__`)
and hold objects of C++ classes; such files are refused unopened.
"""

import io
from collections.abc import Iterator
from typing import Any

import torch

from capmat_errors import CheckpointError

# Of the networks in `capmat_models/networks`, of torchvision's and timm's, and of `torch.nn.functional`, traced and
# scripted; with `_` at the end also in place. None of them opens anything, or trusts an index without checking it.
_ATEN = """
    Bool Float FloatImplicit Int IntImplicit ScalarImplicit __and__ __contains__ __derive_index __getitem__
    __interpolate __is__ __isnot__ __not__ __or__ __range_length __xor__ _assert_async _convolution
    _log_softmax _native_multi_head_attention _set_item _shape_as_tensor _softmax _unsafe_view
    _upsample_bicubic2d_aa _upsample_bilinear2d_aa _upsample_lanczos2d_aa _upsample_nearest_exact1d
    _upsample_nearest_exact2d _upsample_nearest_exact3d abs absolute acos adaptive_avg_pool1d
    adaptive_avg_pool2d adaptive_avg_pool3d adaptive_max_pool1d adaptive_max_pool2d adaptive_max_pool3d add
    addbmm addcdiv addcmul addmm addmv affine_grid_generator alias all alpha_dropout amax amin aminmax any
    append arange argmax argmin argsort asin atan atan2 avg_pool1d avg_pool2d avg_pool3d baddbmm batch_norm
    bernoulli bitwise_and bitwise_not bitwise_or bitwise_xor bmm broadcast_tensors broadcast_to bucketize cat
    cdist ceil celu channel_shuffle chunk clamp clamp_max clamp_min clone col2im column_stack concat
    constant_pad_nd contiguous conv1d conv2d conv3d conv_transpose1d conv_transpose2d conv_transpose3d copy
    cos cosh cosine_similarity cpu cross cuda cummax cummin cumprod cumsum detach diag diag_embed diagonal dict
    diff dim dist div divide dot dropout dstack einsum elu embedding empty empty_like eq equal erf erfc exp
    exp2 expand expand_as expm1 extend eye feature_alpha_dropout feature_dropout fft_fft fft_fft2 fft_fftn
    fft_fftshift fft_ifft fft_ifft2 fft_ifftn fft_ifftshift fft_irfft fft_irfft2 fft_irfftn fft_rfft fft_rfft2
    fft_rfftn fill flatten flip fliplr flipud floor floor_divide floordiv fmax fmin fmod format frac
    frobenius_norm full full_like gather ge gelu get glu greater greater_equal grid_sampler group_norm gru gt
    hardshrink hardsigmoid hardswish hardtanh heaviside hstack hypot im2col imag index index_add index_copy
    index_fill index_put index_select insert instance_norm inverse is_autocast_enabled is_complex
    is_contiguous is_floating_point is_grad_enabled isclose isfinite isinf isnan item items join keys kron
    kthvalue layer_norm le leaky_relu len lerp less less_equal lift_fresh linalg_inv linalg_matrix_norm
    linalg_norm linalg_solve linalg_vector_norm linear linspace list log log10 log1p log2 log_sigmoid
    log_softmax logaddexp logical_and logical_not logical_or logical_xor logit logsumexp lstm lt masked_fill
    masked_scatter masked_select matmul max max_pool1d max_pool2d max_pool2d_with_indices max_pool3d
    max_unpool2d maximum mean median meshgrid min minimum mish mm moveaxis movedim mul multiply mv nan_to_num
    narrow native_batch_norm native_group_norm native_layer_norm ne neg negative new_empty new_full new_ones
    new_zeros nonzero norm normal numel numpy_T one_hot ones ones_like outer pad pairwise_distance permute
    pixel_shuffle pixel_unshuffle polar pop positive pow prelu prod quantile rand rand_like randint randn
    randn_like ravel real reciprocal reflection_pad1d reflection_pad2d reflection_pad3d relu relu6 remainder
    renorm repeat repeat_interleave replication_pad1d replication_pad2d replication_pad3d reshape reshape_as
    resolve_conj reverse rms_norm rnn_relu rnn_tanh roll rot90 round rsqrt rsub scaled_dot_product_attention
    scatter scatter_add scatter_reduce searchsorted select select_scatter selu sgn sigmoid sign silu sin sinc
    sinh size slice slice_scatter softmax softplus softshrink sort split split_with_sizes sqrt square squeeze
    stack std std_mean str stride sub subtract sum swapaxes swapdims t take_along_dim tan tanh tensor
    tensor_split threshold tile to topk transpose tril triu true_divide trunc type_as unbind unflatten unfold
    unsqueeze upsample_bicubic2d upsample_bilinear2d upsample_linear1d upsample_nearest1d upsample_nearest2d
    upsample_nearest3d upsample_trilinear3d values var var_mean view view_as view_as_complex view_as_real
    vstack warn where zero zeros zeros_like
"""
_PRIM = """
    Constant DictConstruct GetAttr If ImplicitTensorToNum ListConstruct ListUnpack Loop NumToTensor
    RaiseException SetAttr StringIndex TupleConstruct TupleIndex TupleSlice TupleUnpack Uninitialized abs data
    device dtype is_cuda is_nested isinstance layout max min rangelist requires_grad shape type unchecked_cast
    unchecked_unwrap_optional
"""
_HIDDEN = (b"__setstate__", b"torch.classes")


def check_archive(data: bytes) -> None:
    """Refuse a TorchScript archive that would run code or make objects while it is opened.

    The archive is read as torch itself reads it.

    Raises:
        CheckpointError: it is none, or holds `__setstate__` or a C++ class.
        RuntimeError: torch cannot read the archive.
    """
    reader = torch._C.PyTorchFileReader(io.BytesIO(data))
    names = reader.get_all_records()
    if not {"data.pkl", "constants.pkl"} <= set(names) or "model.json" in names:
        raise RuntimeError("it is not an archive of TorchScript")
    for name in names:
        if name.startswith("code/") or name.endswith(".pkl"):
            content = reader.get_record(name)
            if hidden := [text.decode() for text in _HIDDEN if text in content]:
                raise _refused(hidden)


def check_torchscript(script: Any) -> None:
    """Refuse an opened TorchScript module whose forward has an operator that is not in the list.

    Raises:
        CheckpointError: it has; the message names all of them.
    """
    kinds = set(_torch_kinds(script.forward.inlined_graph))
    allowed = {f"aten::{name}" for name in _ATEN.split()} | {f"prim::{name}" for name in _PRIM.split()}
    if strangers := sorted(kind for kind in kinds if kind not in allowed and kind.removesuffix("_") not in allowed):
        raise _refused(strangers)


def _torch_kinds(block: Any) -> Iterator[str]:
    for node in block.nodes():
        yield node.kind()
        for inner in node.blocks():
            yield from _torch_kinds(inner)
        for name in node.attributeNames():
            if node.kindOf(name) == "g":
                yield from _torch_kinds(node.g(name))


def check_onnx(data: bytes) -> None:
    """Refuse an ONNX file with operators that are not of the standard, or with weights in other files.

    Raises:
        CheckpointError: it has; the message names all of them, or the first such file.
        google.protobuf.message.DecodeError: the bytes are not ONNX.
    """
    import onnx

    model = onnx.load_model_from_string(data)
    own = {(function.domain, function.name) for function in model.functions}
    training = [graph for info in model.training_info for graph in (info.initialization, info.algorithm)]
    strangers = set()
    for node, tensors in _onnx_parts(onnx, [model.graph, *model.functions, *training]):
        for tensor in tensors:
            if tensor.data_location == onnx.TensorProto.EXTERNAL or tensor.external_data:
                place = next(
                    (entry.value for entry in tensor.external_data if entry.key == "location"), "another file"
                )
                raise CheckpointError(
                    f"its weights {tensor.name!r} lie in {place[:80]!r}, which is not read",
                    fix="Save it as one file, with onnx.save(onnx.load(FILE), NEW).",
                )
        standard = node is not None and node.domain in ("", "ai.onnx") and onnx.defs.has(node.op_type)
        if node is not None and not standard and (node.domain, node.op_type) not in own:
            strangers.add(f"{node.domain or 'ai.onnx'}::{node.op_type}")
    if strangers:
        raise _refused(sorted(strangers))


def _onnx_parts(onnx: Any, graphs: list[Any]) -> Iterator[tuple[Any, list[Any]]]:
    """Yield every node (None for the graph itself) with the tensors that it holds, also of graphs inside nodes."""
    for graph in graphs:
        if isinstance(graph, onnx.GraphProto):
            sparse = [part for tensor in graph.sparse_initializer for part in (tensor.values, tensor.indices)]
            yield None, [*graph.initializer, *sparse]
        for node in graph.node:
            held = node.attribute
            sparse = [tensor for a in held for tensor in (a.sparse_tensor, *a.sparse_tensors)]
            yield (
                node,
                [
                    *(tensor for a in held for tensor in (a.t, *a.tensors)),
                    *(part for tensor in sparse for part in (tensor.values, tensor.indices)),
                ],
            )
            yield from _onnx_parts(onnx, [inner for a in held for inner in (a.g, *a.graphs)])


def _refused(names: list[str]) -> CheckpointError:
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    return CheckpointError(
        f"it uses what no matting network needs, and is not run: {', '.join(names[:5])}{more}",
        fix="Export the network again without them.",
    )
