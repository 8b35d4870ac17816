"""A backbone with the head that makes it a classifier."""

from copy import deepcopy
from typing import Self

from torch import Tensor, nn

from skssl.nn.backbones import Backbone
from skssl.nn.blocks import check_trainable

__all__ = ["Classifier", "ClassifierHead"]

_WHOLE_PARTS = ("head", "backbone")


class ClassifierHead(nn.Module):
    """Map features to logits, by one linear layer or by one hidden layer before it.

    Parameters
    ----------
    n_features : int
        Width d of the features.
    n_classes : int
        Number of logits, 2 or more.
    kind : {"linear", "mlp"}, default="linear"
        "mlp" puts batch normalisation, a hidden layer with ReLU and dropout before the
        linear layer.
    hidden_size : int, default=1024
        Width of the hidden layer of "mlp".
    dropout : float, default=0.5
        Probability that a unit of the hidden layer is dropped in training, in [0, 1).

    Raises
    ------
    ValueError
        If ``kind`` is unknown.

    Notes
    -----
    "mlp" is the head of Ewen & Khan 2020, :doi:`10.48550/arXiv.2011.10188`. It includes
    the batch normalisation and the dropout of their published notebook, which the paper
    does not mention, but not the notebook's L2 penalty of 0.01 on the hidden layer. For
    two classes the paper has one output with a sigmoid, and the notebook two with a
    sigmoid each. This head has two with a softmax, which equals the paper's sigmoid of
    the difference between the two.

    Examples
    --------
    >>> import torch
    >>> from skssl.nn import ClassifierHead
    >>> head = ClassifierHead(512, 2, kind="mlp").eval()
    >>> head(torch.zeros(3, 512)).shape, head.n_penultimate
    (torch.Size([3, 2]), 1024)
    """

    def __init__(
        self,
        n_features: int,
        n_classes: int,
        *,
        kind: str = "linear",
        hidden_size: int = 1024,
        dropout: float = 0.5,
    ) -> None:
        super().__init__()
        self.kind = kind
        self.n_features = n_features
        self.n_classes = n_classes
        self.hidden: nn.Module = nn.Identity()
        self.n_penultimate = n_features
        if kind == "mlp":
            self.hidden = nn.Sequential(
                nn.BatchNorm1d(n_features),
                nn.Linear(n_features, hidden_size),
                nn.ReLU(),
                nn.Dropout(dropout),
            )
            self.n_penultimate = hidden_size
        elif kind != "linear":
            raise ValueError(f"kind must be 'linear' or 'mlp', got {kind!r}.")
        self.output = nn.Linear(self.n_penultimate, n_classes)

    def forward(self, features: Tensor) -> Tensor:
        """Map features (n, n_features), float, to logits (n, n_classes)."""
        return self.output(self.hidden(features))


class Classifier(nn.Module):
    """A backbone and a head, either of which can be frozen in training.

    Parameters
    ----------
    backbone : Backbone
        Maps images to features (n, d).
    head : ClassifierHead
        Maps features to logits.

    Examples
    --------
    >>> from skssl.nn import Classifier, ClassifierHead, build_backbone
    >>> backbone = build_backbone("resnet18", in_channels=1, image_size=(32, 32))
    >>> classifier = Classifier(backbone, ClassifierHead(512, 2))
    >>> classifier.only_train("head").n_trainable
    1026
    """

    def __init__(self, backbone: Backbone, head: ClassifierHead) -> None:
        super().__init__()
        self.backbone = backbone
        self.head = head
        self._frozen: tuple[str, ...] = ()

    def forward(self, images: Tensor) -> Tensor:
        """Map images (n, C, H, W), float in [0, 1], to logits (n, n_classes)."""
        return self.head(self.backbone(images))

    def penultimate(self, images: Tensor) -> Tensor:
        """Map images (n, C, H, W) to the inputs (n, d) of the last linear layer."""
        return self.head.hidden(self.backbone(images))

    def only_train(self, part: str) -> Self:
        """Freeze the weights and the batch statistics of all other modules.

        Parameters
        ----------
        part : {"head", "backbone", "all", "last:K", "norms"}
            What training changes. "last:K" is the head and the last K blocks of the
            backbone, "norms" the head and the backbone's normalisation layers.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If ``part`` is unknown.
        """
        check_trainable(part, "part", _WHOLE_PARTS)
        self._frozen = tuple({*_WHOLE_PARTS} - {part} if part in _WHOLE_PARTS else ())
        self.head.requires_grad_("head" not in self._frozen)
        if "backbone" in self._frozen:
            self.backbone.requires_grad_(False)
        else:
            self.backbone.only_train("all" if part == "backbone" else part)
        return self.train(self.training)

    def train(self, mode: bool = True) -> Self:
        """Set training mode, except for a frozen head or backbone."""
        super().train(mode)
        for name in self._frozen:
            getattr(self, name).eval()
        return self

    def copy_with(self, state: dict[str, Tensor]) -> "Classifier":
        """Return a copy with the weights of a state dict, on the same device."""
        other = deepcopy(self)
        other.load_state_dict(state)
        return other

    @property
    def n_trainable(self) -> int:
        """Number of weights that training changes."""
        return sum(p.numel() for p in self.parameters() if p.requires_grad)
