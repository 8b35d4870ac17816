"""What each phase trains, what it leaves alone, and where it starts."""

import numpy as np
import pytest
import torch
from sklearn.frozen import FrozenEstimator
from skorch.callbacks import Callback

from skssl import Phase
from skssl.engine import get_phases
from skssl.engine.optimizers import layer_factors
from skssl.nn import blocks, build_backbone

pytestmark = pytest.mark.filterwarnings(
    "ignore::skssl.exceptions.NothingLearnedWarning"  # of one epoch
)


class Spy(Callback):
    """Write down the weights and rates at the beginning and at the end of phases."""

    def __init__(self):
        self.begin, self.end, self.rates = [], [], []

    def on_train_begin(self, net, **kwargs):
        self.begin.append(copy_of(net))
        self.rates.append([group["lr"] for group in net.optimizer_.param_groups])

    def on_train_end(self, net, **kwargs):
        self.end.append(copy_of(net))


def copy_of(net):
    state = net.module_.classifier.state_dict()
    return {name: value.clone() for name, value in state.items()}


def same(first, second, part=""):
    return all(
        torch.equal(value, second[name])
        for name, value in first.items()
        if name.startswith(part)
    )


def test_numbers_of_trainable_weights(make_clf, scans):
    phases = [Phase(part, epochs=1) for part in ("head", "backbone", "all")]
    clf = make_clf(phases=phases).fit(scans.data, scans.target)
    head = 16 * 2 + 2
    backbone = 8 * 9 + 2 * 8 + 16 * 8 * 9 + 2 * 16  # one channel
    assert clf.n_trainable_ == [head, backbone, head + backbone]
    mlp = make_clf(phases=phases, head="mlp", hidden_size=5)
    mlp.fit(scans.data, scans.target)
    assert mlp.n_trainable_[0] == 2 * 16 + (16 * 5 + 5) + (5 * 2 + 2)


def test_a_frozen_backbone_keeps_weights_and_statistics(make_clf, make_ssl, scans):
    ssl = make_ssl().fit(scans.data)
    spy = Spy()
    clf = make_clf(
        FrozenEstimator(ssl), frozen=True, phases="auto", head="mlp", callbacks=[spy]
    ).fit(scans.data, scans.target)
    before, after = ssl.backbone_.state_dict(), clf.backbone_.state_dict()
    assert any("running_var" in name for name in after)
    assert any("num_batches" in name for name in after)
    assert same(before, after)
    assert not same(spy.begin[0], spy.end[0], "head")
    np.testing.assert_array_equal(
        ssl.transform(scans.data),
        clf.set_params(head="linear")
        .fit(scans.data, scans.target)
        .transform(scans.data),
    )


def test_a_phase_of_the_backbone_holds_the_head_still(make_clf, scans):
    spy = Spy()
    clf = make_clf(head="mlp", phases=[Phase("backbone", epochs=1)], callbacks=[spy])
    clf.fit(scans.data, scans.target)
    assert same(spy.begin[0], spy.end[0], "head")
    assert not same(spy.begin[0], spy.end[0], "backbone")


def test_the_targeted_head_is_where_fine_tuning_starts(make_clf, make_flip, scans):
    flip = make_flip().fit(scans.data)
    spy = Spy()
    make_clf(FrozenEstimator(flip), callbacks=[spy]).fit(scans.data, scans.target)
    start, learned = spy.begin[0], flip.networks_[0].state_dict()
    assert sorted(start) == sorted(learned)
    assert same(start, learned)
    fresh = Spy()
    make_clf(FrozenEstimator(flip), head="mlp", callbacks=[fresh]).fit(
        scans.data, scans.target
    )
    assert same(fresh.begin[0], learned, "backbone")
    assert not same(fresh.begin[0], learned, "head")


def test_a_phase_starts_where_the_one_before_ended(make_clf, scans):
    spy = Spy()
    clf = make_clf(validation_fraction=0.3, selection="best", callbacks=[spy])
    clf.fit(scans.data, scans.target, scans.groups)
    assert len(spy.begin) == 2
    assert same(spy.end[0], spy.begin[1])


def test_targeted_phases_go_on_from_the_lowest_loss(make_flip, scans):
    spy = Spy()
    wild = [Phase(lr=lr, epochs=6, optimizer="sgd") for lr in (0.5, 0.05)]
    flip = make_flip(phases=wild, callbacks=[spy]).fit(scans.data)
    for phase in (1, 2):
        rows = [row for row in flip.history_ if row["phase"] == phase]
        lowest = min(rows, key=lambda row: row["loss"])
        assert flip.selected_epochs_[phase - 1] == lowest["epoch"]
    assert flip.selected_epochs_[0] != 6, "the case does not show anything"
    assert same(spy.end[0], spy.begin[1])
    assert same(spy.end[1], flip.networks_[0].state_dict())


def test_history(make_clf, scans):
    clf = make_clf(validation_fraction=0.3).fit(scans.data, scans.target, scans.groups)
    assert [(row["phase"], row["epoch"]) for row in clf.history_] == [(1, 1), (2, 2)]
    assert clf.n_iter_ == 2
    assert clf.selected_epochs_ == [1, 2]
    for row in clf.history_:
        assert set(row) == {
            "phase", "epoch", "loss", "accuracy", "val_loss", "val_accuracy", "lr",
            "images_per_second", "seconds",
        }  # fmt: skip


def test_validation_figures_are_those_of_what_is_kept(make_clf, scans):
    clf = make_clf(validation_fraction=0.3).fit(scans.data, scans.target, scans.groups)
    held = clf.validation_indices_
    p = clf.predict_proba(scans.data[held])
    y = scans.target[held]
    row = clf.history_[-1]
    assert row["val_accuracy"] == pytest.approx(np.mean(p.argmax(1) == y), abs=1e-6)
    assert row["val_loss"] == pytest.approx(
        -np.log(p[np.arange(len(y)), y]).mean(), rel=1e-4
    )


def test_the_average_is_of_the_probabilities_of_the_last_epochs(make_clf, scans):
    class Probabilities(Callback):
        def __init__(self):
            self.of_epochs = []

        def on_epoch_end(self, net, **kwargs):
            classifier = net.module_.classifier
            with torch.no_grad():
                images = torch.from_numpy(scans.data)[:, None] / 255
                p = classifier.eval()(images).softmax(1)
                classifier.train()
            self.of_epochs.append(p.numpy())

    seen = Probabilities()
    clf = make_clf(
        phases=[Phase(epochs=5, lr=1e-2)],
        selection="average_last_k",
        n_average=3,
        callbacks=[seen],
    ).fit(scans.data, scans.target)
    assert clf.selected_epochs_ == [3, 4, 5]
    assert len(clf.networks_) == 3
    expected = np.mean(seen.of_epochs[-3:], axis=0)
    np.testing.assert_allclose(clf.predict_proba(scans.data), expected, atol=1e-6)


def test_best_is_the_highest_validation_accuracy(make_clf, scans):
    clf = make_clf(
        phases=[Phase(epochs=8, lr=3e-2, optimizer="sgd")],
        validation_fraction=0.3,
        selection="best",
    ).fit(scans.data, scans.target, scans.groups)
    best = max(clf.history_, key=lambda row: (row["val_accuracy"], -row["val_loss"]))
    assert clf.selected_epochs_ == [best["epoch"]]
    held = clf.validation_indices_
    score = clf.score(scans.data[held], scans.target[held])
    assert score == pytest.approx(best["val_accuracy"])


def test_layer_decay_by_hand(make_clf, scans):
    network = build_backbone("resnet18", in_channels=1, image_size=(32, 32)).network
    factors = layer_factors(network, 0.5)
    assert factors[network.layer4[1].conv2.weight] == 0.5
    assert factors[network.layer4[0].conv1.weight] == 0.25
    assert factors[network.conv1.weight] == factors[network.bn1.bias] == 0.5**9
    assert len(factors) == len(list(network.parameters()))
    spy = Spy()
    phase = Phase(epochs=1, lr=1.0, layer_decay=0.1, optimizer="sgd")
    make_clf(phases=[phase], callbacks=[spy]).fit(scans.data, scans.target)
    # The head with its bias; then, last to first, weights and norms of two blocks.
    assert spy.rates[0] == pytest.approx([1, 1, 0.1, 0.1, 0.01, 0.01])


@pytest.mark.parametrize(
    ("name", "n_blocks"),
    [("resnet18", 9), ("vit_tiny", 13), ("densenet121", 8), ("crnet", 3)],
)
def test_blocks_hold_every_weight_once(name, n_blocks):
    backbone = build_backbone(name, in_channels=1, image_size=(32, 32))
    found = blocks(backbone.network)
    weights = [id(weight) for block in found for weight in block]
    assert len(found) == n_blocks
    assert sorted(weights) == sorted(id(p) for p in backbone.parameters())


def test_the_papers_phases():
    top, slow, slower = get_phases("ewen2020_pretext")
    assert (top.train, top.optimizer, top.lr, top.epochs) == (
        "head",
        "rmsprop",
        1e-4,
        30,
    )
    assert top.batch_size == 32
    # Momentum 0.9 in the second run, none in the third.
    for phase, optimizer, lr in ((slow, "sgd", 1e-5), (slower, torch.optim.SGD, 1e-6)):
        assert (phase.train, phase.optimizer, phase.lr) == ("all", optimizer, lr)
        assert (phase.batch_size, phase.epochs) == (4, 30)
        assert (phase.weight_decay, phase.schedule) == (0, "constant")
    assert [phase.lr for phase in get_phases("ewen2020")] == [1e-4, 1e-5]
    (adam,) = get_phases("self_trans")
    assert (adam.optimizer, adam.lr, adam.batch_size, adam.epochs) == (
        "adam", 1e-4, 16, 50,
    )  # fmt: skip
    # The rate starts anew every ten epochs.
    rates = [adam.schedule(epoch / 50, 0.0) for epoch in range(0, 50, 5)]
    assert rates == pytest.approx([1, 0.5] * 5)
