"""The layout of Hugging Face's vision transformers, converted to that of DINOv2.

timm reads DINOv2's layout, which is that of its own vision transformers.
"""

import re

import torch
from torch import Tensor

__all__ = ["vit_from_huggingface"]

State = dict[str, Tensor]

_MARKER = "embeddings.patch_embeddings.projection.weight"
_EMBEDDINGS = {
    "embeddings.cls_token": "cls_token",
    "embeddings.distillation_token": "dist_token",
    "embeddings.mask_token": "mask_token",
    "embeddings.position_embeddings": "pos_embed",
    "embeddings.register_tokens": "register_tokens",
    "embeddings.patch_embeddings.projection.weight": "patch_embed.proj.weight",
    "embeddings.patch_embeddings.projection.bias": "patch_embed.proj.bias",
    "layernorm.weight": "norm.weight",
    "layernorm.bias": "norm.bias",
}
# Names inside a block: of ViT, then of Dinov2, which differs in some.
_BLOCK = {
    "attention.output.dense": "attn.proj",
    "layernorm_before": "norm1",
    "layernorm_after": "norm2",
    "intermediate.dense": "mlp.fc1",
    "output.dense": "mlp.fc2",
    "layer_scale1.lambda1": "ls1.gamma",
    "layer_scale2.lambda1": "ls2.gamma",
    "norm1": "norm1",
    "norm2": "norm2",
    "mlp.fc1": "mlp.fc1",
    "mlp.fc2": "mlp.fc2",
    "mlp.weights_in": "mlp.w12",
    "mlp.weights_out": "mlp.w3",
}
_IN_BLOCK = re.compile(r"encoder\.layer\.(\d+)\.(.+)")
_QUERY = re.compile(r"(attention\.attention\.)query\.(weight|bias)")
# Belongs to heads.
_DROPPED = ("pooler.", "classifier.", "cls_classifier.", "distillation_classifier.")


def vit_from_huggingface(state: State) -> State:
    """Return a state dict of ViT, DeiT or Dinov2 of Hugging Face in DINOv2's layout.

    Parameters
    ----------
    state : dict of str to Tensor
        Any other layout is returned unchanged.
    """
    marked = [key for key in state if key.endswith(_MARKER)]
    if len(marked) != 1:
        return state
    prefix = marked[0].removesuffix(_MARKER)  # "", "vit.", "dinov2.", …
    converted: State = {}
    for key, value in state.items():
        name = key.removeprefix(prefix)
        if name.startswith(_DROPPED):
            continue
        converted.update(_convert(name, value, state, prefix))
    if "register_tokens" in converted:  # timm converts them if this is there
        converted.setdefault("mask_token", torch.zeros(1))
    return converted


def _convert(name: str, value: Tensor, state: State, prefix: str) -> State:
    """Return the entry, or none, that an entry of Hugging Face becomes."""
    if name in _EMBEDDINGS:
        return {_EMBEDDINGS[name]: value}
    match = _IN_BLOCK.fullmatch(name)
    if match is None:
        return {name: value}  # which the check of the keys will name
    number, inner = match.groups()
    if query := _QUERY.fullmatch(inner):
        start, kind = query.groups()
        parts = [
            state[f"{prefix}encoder.layer.{number}.{start}{part}.{kind}"]
            for part in ("query", "key", "value")
        ]
        return {f"blocks.{number}.attn.qkv.{kind}": torch.cat(parts)}
    if inner.startswith("attention.attention."):
        return {}  # joined with the query
    for old, new in _BLOCK.items():
        if inner == old or inner.startswith(f"{old}."):
            return {f"blocks.{number}.{new}{inner.removeprefix(old)}": value}
    return {name: value}
