"""What a fit keeps: the same bits for the same seed, whatever happens around it."""

import pickle
import signal
import subprocess
import sys

import joblib
import numpy as np
import pandas as pd
import pytest
import torch
from joblib import Parallel, delayed
from sklearn.exceptions import NotFittedError
from skorch.callbacks import Callback

from skssl.testing import tiny_cnn


def test_paths_and_arrays_of_the_same_images_give_the_same_bits(make_ssl, scans, paths):
    from_arrays = make_ssl().fit(scans.data).transform(scans.data)
    from_paths = make_ssl().fit(paths).transform(paths)
    from_list = make_ssl().fit(list(scans.data)).transform(pd.Series(paths))
    np.testing.assert_array_equal(from_arrays, from_paths)
    np.testing.assert_array_equal(from_arrays, from_list)


def test_features_do_not_depend_on_the_company(make_ssl, scans):
    ssl = make_ssl().fit(scans.data)
    h = ssl.transform(scans.data)
    alone = np.concatenate([ssl.transform(scans.data[i : i + 1]) for i in range(5)])
    np.testing.assert_allclose(alone, h[:5], rtol=1e-5, atol=1e-6)


def test_the_same_seed_gives_the_same_bits_in_two_processes():
    script = """
import numpy as np, hashlib
from skssl import SelfSupervisedPretrainer
from skssl.testing import tiny_cnn
X = np.random.default_rng(0).integers(0, 256, (20, 16, 16), dtype=np.uint8)
for pretext in ("simclr", "moco"):
    h = [SelfSupervisedPretrainer(pretext, backbone=tiny_cnn, max_epochs=2,
         random_state=1).fit_transform(X).tobytes() for _ in range(2)]
    assert h[0] == h[1]
    print(hashlib.sha256(h[0]).hexdigest())
"""
    runs = [
        subprocess.run(
            [sys.executable, "-c", script], check=True, capture_output=True, text=True
        ).stdout
        for _ in range(2)
    ]
    assert runs[0] == runs[1]
    assert [len(line) for line in runs[0].splitlines()] == [64, 64]


def test_global_generators_are_neither_read_nor_changed(make_ssl, scans):
    results = []
    for global_seed in (1, 2):
        torch.manual_seed(global_seed)
        np.random.seed(global_seed)  # noqa: NPY002
        before = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
        results.append(make_ssl().fit_transform(scans.data))
        make_ssl(random_state=None).fit(scans.data)
        assert torch.equal(torch.get_rng_state(), before[0])
        np.testing.assert_array_equal(np.random.get_state()[1], before[1])  # noqa: NPY002
    np.testing.assert_array_equal(*results)


def test_fits_in_threads_equal_fits_one_by_one(make_ssl, scans):
    before = torch.get_rng_state()
    fit = delayed(lambda seed: make_ssl(random_state=seed).fit_transform(scans.data))
    alone = [make_ssl(random_state=seed).fit_transform(scans.data) for seed in range(4)]
    together = Parallel(n_jobs=4, prefer="threads")(fit(seed) for seed in range(4))
    np.testing.assert_array_equal(together, alone)
    assert torch.equal(torch.get_rng_state(), before)


def test_another_seed_gives_other_features(make_ssl, scans):
    first, second = (make_ssl(random_state=s).fit_transform(scans.data) for s in (0, 1))
    assert not np.allclose(first, second)


def test_a_fitted_estimator_loads_in_another_process(make_ssl, scans, tmp_path):
    ssl = make_ssl("moco").fit(scans.data)
    (tmp_path / "pickle").write_bytes(pickle.dumps(ssl))
    joblib.dump(ssl, tmp_path / "joblib")
    np.save(tmp_path / "images.npy", scans.data[:4])
    script = (
        "import joblib, pickle, numpy as np\n"
        "images = np.load('images.npy')\n"
        "for load in (joblib.load, pickle.load):\n"
        "    name = load.__module__.partition('.')[0].removeprefix('_')\n"
        "    ssl = load(open(name, 'rb'))\n"
        "    np.save(f'{name}.npy', ssl.transform(images))\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True, cwd=tmp_path)
    for name in ("pickle", "joblib"):
        h = np.load(tmp_path / f"{name}.npy")
        np.testing.assert_array_equal(h, ssl.transform(scans.data[:4]))


def test_no_training_image_is_kept(make_ssl, rng):
    images = rng.integers(0, 256, (60, 64, 64), dtype=np.uint8)
    small = len(pickle.dumps(make_ssl().fit(images[:10])))
    large = len(pickle.dumps(make_ssl().fit(images)))
    assert large - small < 2000  # row numbers, not 200 kB of pixels


def test_keep_module(make_ssl, scans):
    assert not hasattr(make_ssl().fit(scans.data), "pretext_module_")
    kept = make_ssl("moco", keep_module=True).fit(scans.data)
    assert kept.pretext_module_.backbone is kept.backbone_
    assert kept.pretext_module_.queue.features.shape == (30, 128)


def test_a_module_is_copied(make_ssl, scans):
    module = tiny_cnn()
    before = {k: v.clone() for k, v in module.state_dict().items()}
    make_ssl(backbone=module).fit(scans.data)
    for name, value in module.state_dict().items():
        assert torch.equal(value, before[name])


@pytest.fixture
def listening():
    """Raise on Ctrl-C, which a shell has its background jobs ignore."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("listening")
def test_ctrl_c_keeps_the_weights_so_far(make_ssl, scans):
    class CtrlC(Callback):
        def on_batch_end(self, net, **kwargs):
            if len(net.history) == 3:
                signal.raise_signal(signal.SIGINT)

    ssl = make_ssl(max_epochs=50, callbacks=[CtrlC()])
    with pytest.raises(KeyboardInterrupt):
        ssl.fit(scans.data)
    assert ssl.n_iter_ == 2
    assert ssl.transform(scans.data).shape == (30, 16)


def test_transform_before_fit(make_ssl, scans):
    with pytest.raises(NotFittedError):
        make_ssl().transform(scans.data)


def test_one_failed_fit_is_no_fit(make_ssl, scans):
    ssl = make_ssl(backbone="nope")
    with pytest.raises(ValueError, match="nope"):
        ssl.fit(scans.data)
    with pytest.raises(NotFittedError):
        ssl.transform(scans.data)


def test_a_failed_refit_leaves_the_earlier_fit(make_ssl, scans):
    ssl = make_ssl(keep_module=True).fit(scans.data)
    before = ssl.transform(scans.data)
    ssl.set_params(image_size=8, optimizer="nope")
    with pytest.raises(ValueError, match="nope"):
        ssl.fit(scans.data)
    np.testing.assert_array_equal(ssl.transform(scans.data), before)
    ssl.set_params(optimizer="adamw", keep_module=False).fit(scans.data)
    assert not hasattr(ssl, "pretext_module_")
