"""The layout of Hugging Face's vision transformers, converted to that of DINOv2.

timm reads DINOv2's layout, which is that of its own vision transformers.
"""

import re

import torch
from torch import Tensor

from skssl.nn.families._modules import State

__all__ = ["vit_from_huggingface"]

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
# Names inside a block: of ViT, of Dinov2, and of both since transformers 5.
_BLOCK = {
    "attention.output.dense": "attn.proj",
    "attention.o_proj": "attn.proj",
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
    "mlp.down_proj": "mlp.w3",
}
# Layers that are joined to one, by the name of the first.
_JOINED = {
    "attention.attention.query": (
        "attn.qkv",
        ("attention.attention.key", "attention.attention.value"),
    ),
    "attention.q_proj": ("attn.qkv", ("attention.k_proj", "attention.v_proj")),
    "mlp.gate_proj": ("mlp.w12", ("mlp.up_proj",)),
}
_JOINED_LATER = {other for _, others in _JOINED.values() for other in others}
_IN_BLOCK = re.compile(r"((?:encoder\.layer|layers)\.(\d+)\.)(.+)")
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
    block, number, inner = match.groups()
    layer, _, kind = inner.rpartition(".")  # kind: weight, bias or lambda1
    if layer in _JOINED_LATER:
        return {}
    if layer in _JOINED:
        new, others = _JOINED[layer]
        parts = [value, *(state[f"{prefix}{block}{each}.{kind}"] for each in others)]
        return {f"blocks.{number}.{new}.{kind}": torch.cat(parts)}
    if inner in _BLOCK:  # a bare tensor
        return {f"blocks.{number}.{_BLOCK[inner]}": value}
    new = f"blocks.{number}.{_BLOCK[layer]}.{kind}" if layer in _BLOCK else name
    return {new: value}
