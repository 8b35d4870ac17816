"""The loop: one host sync an epoch, a schedule over steps, orderly ends."""

import math
import warnings

import numpy as np
import pytest
import torch
from skorch.callbacks import Callback, EarlyStopping

from skssl._random import isolated_rng
from skssl.data import ImageStore
from skssl.engine import PretextNet
from skssl.exceptions import CollapseWarning, NonFiniteLossError
from skssl.nn import build_backbone, cosine
from skssl.pretext import SimCLR, TrainingInfo
from skssl.testing import tiny_cnn


@pytest.fixture
def store(rng):
    images = rng.integers(0, 256, (11, 1, 16, 16), dtype=np.uint8)
    return ImageStore(torch.from_numpy(images), np.arange(11))


def make_net(**options):
    info = TrainingInfo(11, 1, (16, 16), 4)
    task = SimCLR(hidden_size=8, projection_size=4).resolve(info)
    with isolated_rng(0):
        backbone = build_backbone(tiny_cnn, in_channels=1, image_size=(16, 16))
        module = task.build(backbone, info)
    settings = {"max_epochs": 3, "batch_size": 4, "lr": 1e-3, **options}
    return PretextNet(
        module, task=task, image_size=(16, 16), schedule=cosine, **settings
    )


class Spy(Callback):
    """Write down every step."""

    def initialize(self):
        self.lrs, self.losses, self.index = [], [], []

    def on_batch_end(self, net, batch=None, loss=None, **kwargs):
        self.lrs.append(net.optimizer_.param_groups[0]["lr"])
        self.losses.append(loss)
        self.index.append(batch.index)


def test_rate_follows_the_schedule_at_the_middle_of_each_step(store):
    spy = Spy()
    make_net(callbacks=[spy], warmup=0.2).fit(store)
    n_steps = 9  # 3 epochs of 11 images in batches of 4
    expected = [1e-3 * cosine((step + 0.5) / n_steps, 0.2) for step in range(n_steps)]
    assert spy.lrs == pytest.approx(expected)


def test_epoch_loss_is_the_mean_over_images(store):
    spy = Spy()
    net = make_net(callbacks=[spy], max_epochs=1).fit(store)
    sizes = [len(index) for index in spy.index]
    expected = np.average([loss.item() for loss in spy.losses], weights=sizes)
    assert net.rows()[0]["loss"] == pytest.approx(expected, rel=1e-6)
    assert sorted(torch.cat(spy.index).tolist()) == list(range(11))


def test_history_has_a_row_of_figures_an_epoch(store):
    rows = make_net().fit(store).rows()
    assert [row["epoch"] for row in rows] == [1, 2, 3]
    for row in rows:
        assert set(row) == {
            "epoch", "loss", "lr", "images_per_second", "seconds",
            "feature_std", "rankme", "alignment", "uniformity",
        }  # fmt: skip
        assert all(type(value) in (int, float) for value in row.values())


def test_a_step_never_asks_the_device_for_a_number(store, monkeypatch):
    """No .item(), .tolist() or bool() between epoch begin and epoch end."""
    calls = []
    for name in ("item", "tolist", "__bool__", "__float__", "__int__", "numpy", "cpu"):
        original = getattr(torch.Tensor, name)

        def counted(tensor, *args, _name=name, _original=original):
            calls.append(_name)
            return _original(tensor, *args)

        monkeypatch.setattr(torch.Tensor, name, counted)
    # Adam counts its steps in numbers of the host, which are no syncs either.
    make_net(max_epochs=2, optimizer="sgd").fit(store)
    # one an epoch, of loss and features, whose figures are then computed on the
    # host; one at the end, of the weights
    assert calls == ["cpu", "tolist"] * 2 + ["__bool__"]


def test_early_stopping_ends_training_in_order(store):
    stop = EarlyStopping(monitor="loss", patience=1, threshold=1e9, sink=lambda _: None)
    net = make_net(callbacks=[stop], max_epochs=50, lr=1e-9).fit(store)
    assert 1 <= len(net.rows()) < 50


def test_ctrl_c_is_raised_again_after_the_callbacks_closed(store):
    class Interrupt(Callback):
        ended = False

        def on_train_end(self, net, **kwargs):
            self.ended = True

    callback = Interrupt()
    net = make_net(callbacks=[callback])
    step = net.train_step

    def interrupted(batch, **params):
        if net.step_ == 4:  # in the second epoch
            raise KeyboardInterrupt
        return step(batch, **params)

    net.train_step = interrupted
    with pytest.raises(KeyboardInterrupt):
        net.fit(store)
    assert callback.ended
    assert len(net.rows()) == 1


def test_non_finite_loss_stops_and_says_where(store):
    net = make_net()
    step = net.train_step

    def broken(batch, **params):
        out = step(batch, **params)
        return {"loss": out["loss"] * (math.nan if net.step_ > 3 else 1.0)}

    net.train_step = broken
    with pytest.raises(NonFiniteLossError, match=r"nan in epoch 2 .*Try a lower lr"):
        net.fit(store)


def test_collapse_warns(store):
    net = make_net(max_epochs=1)
    forward = net.module.backbone.forward
    net.module.backbone.forward = lambda images: forward(images) * 0 + 1
    with pytest.warns(CollapseWarning, match="their standard deviation is 0"):
        net.fit(store)


@pytest.mark.parametrize(("chosen", "n_warnings"), [(1, 0), (2, 1)])
def test_collapse_is_that_of_the_epoch_that_is_kept(store, chosen, n_warnings):
    class Collapse(Callback):
        def on_epoch_begin(self, net, **kwargs):
            if len(net.history) == 2:
                for weight in net.module_.backbone.parameters():
                    weight.data.zero_()

    net = make_net(
        max_epochs=2, callbacks=[Collapse()], select=lambda row: row["epoch"] == chosen
    )
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        net.fit(store)
    assert net.selected_epoch_ == chosen
    assert [w.category for w in caught] == [CollapseWarning] * n_warnings


def test_progress_bar_shows_steps_and_figures(store, capsys):
    make_net(show_progress=True).fit(store)
    shown = capsys.readouterr().err
    assert "9/9" in shown
    assert "loss=" in shown
