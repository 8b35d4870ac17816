import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from torch import nn

from skssl._random import isolated_rng
from skssl.datasets import make_scan_phantoms
from skssl.datasets._phantoms import _balanced_labels, _test_patients

FIELDS = ("data", "target", "groups", "split", "level", "lesion_fraction")


@pytest.fixture(scope="module")
def scans():
    return make_scan_phantoms(40, image_size=48, random_state=0)


def test_bunch_has_the_stated_shapes_and_types(scans):
    n_images = len(scans.data)
    assert scans.data.shape == (n_images, 48, 48)
    assert scans.data.dtype == np.uint8
    assert scans.target_names == ["healthy", "lesion"]
    for name in FIELDS[1:]:
        assert scans[name].shape == (n_images,)
    assert "40 simulated patients" in scans.DESCR
    assert f"{n_images} axial slices" in scans.DESCR


def test_patients_have_two_to_five_slices_of_one_label_and_split(scans):
    counts = np.bincount(scans.groups)
    assert counts.min() == 2
    assert counts.max() == 5
    assert len(counts) == 40
    for name in ("target", "split"):
        pairs = {(g, v) for g, v in zip(scans.groups, scans[name], strict=True)}
        assert len(pairs) == 40


def test_split_holds_a_quarter_of_the_patients_of_each_class(scans):
    first = np.unique(scans.groups, return_index=True)[1]
    for label in (0, 1):
        of_class = scans.split[first][scans.target[first] == label]
        assert (of_class == "test").sum() == len(of_class) // 4 == 5


def test_lesions_are_in_each_slice_of_the_diseased_alone(scans):
    np.testing.assert_array_equal(scans.lesion_fraction > 0.05, scans.target == 1)
    assert not scans.lesion_fraction[scans.target == 0].any()


def test_levels_rise_within_a_patient(scans):
    same = np.diff(scans.groups) == 0
    assert (np.diff(scans.level)[same] > 0).all()
    assert scans.level.min() >= 0
    assert scans.level.max() <= 1


@pytest.mark.parametrize(
    "make_state", [int, np.random.RandomState, np.random.default_rng]
)
def test_same_seed_gives_the_same_bits(make_state):
    one, two = (
        make_scan_phantoms(3, image_size=32, random_state=make_state(5))
        for _ in range(2)
    )
    for name in FIELDS:
        np.testing.assert_array_equal(one[name], two[name])


def test_other_seeds_and_none_give_other_images():
    sets = [
        make_scan_phantoms(1, images_per_patient=1, image_size=32, random_state=state)
        for state in (0, 1, None, None)
    ]
    assert len({scans.data.tobytes() for scans in sets}) == 4


def test_global_random_states_are_not_touched():
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    make_scan_phantoms(2, image_size=32)
    np.testing.assert_array_equal(before, np.random.get_state()[1])  # noqa: NPY002


@pytest.mark.parametrize("n_patients", [1, 4, 7])
def test_a_larger_set_begins_with_the_smaller_one(n_patients):
    options = {"image_size": 24, "prevalence": 0.4, "random_state": 3}
    small = make_scan_phantoms(n_patients, **options)
    large = make_scan_phantoms(12, **options)
    for name in FIELDS:
        np.testing.assert_array_equal(small[name], large[name][: len(small.data)])


def test_contrast_changes_the_diseased_only():
    clear, faint = (
        make_scan_phantoms(6, image_size=48, lesion_contrast=c, random_state=1)
        for c in (1.0, 0.0)
    )
    changed = (clear.data != faint.data).any(axis=(1, 2))
    np.testing.assert_array_equal(changed, clear.target == 1)


@pytest.mark.parametrize("image_size", [48, 49])
def test_symmetric_images_equal_their_mirror_images(image_size):
    options = {"image_size": image_size, "random_state": 0}
    symmetric = make_scan_phantoms(6, symmetric=True, **options)
    plain = make_scan_phantoms(6, asymmetry=0.0, **options)
    np.testing.assert_array_equal(symmetric.data, symmetric.data[:, :, ::-1])
    assert (plain.data != plain.data[:, :, ::-1]).any(axis=(1, 2)).all()
    assert (symmetric.lesion_fraction[symmetric.target == 1] > 0.05).all()


def test_asymmetry_puts_the_heart_on_the_images_right():
    def brighter_on_the_right(asymmetry):
        scans = make_scan_phantoms(
            60,
            image_size=32,
            prevalence=0,
            asymmetry=asymmetry,
            noise=0,
            random_state=0,
        )
        middle = scans.data[(scans.level > 0.35) & (scans.level < 0.55)] / 255
        return middle[:, 8:16, 16:24].mean() - middle[:, 8:16, 8:16].mean()

    assert brighter_on_the_right(1.0) > 0.1
    assert abs(brighter_on_the_right(0.0)) < 0.04


def test_noise_makes_images_noisier():
    calm, noisy = (
        make_scan_phantoms(3, image_size=32, noise=n, random_state=0).data.astype(float)
        for n in (0, 3)
    )
    # the corner is air, which is flat without noise
    assert calm[:, :3, :3].std(axis=(1, 2)).max() < 1
    assert np.abs(np.diff(noisy)).mean() > np.abs(np.diff(calm)).mean()


def test_return_x_y_gives_data_and_target():
    X, y = make_scan_phantoms(2, image_size=32, random_state=0, return_X_y=True)
    scans = make_scan_phantoms(2, image_size=32, random_state=0)
    np.testing.assert_array_equal(X, scans.data)
    np.testing.assert_array_equal(y, scans.target)


@pytest.mark.parametrize("prevalence", [0.0, 0.3, 0.5, 1.0])
def test_labels_keep_the_prevalence_in_each_even_prefix(rng, prevalence):
    labels = _balanced_labels(rng, 101, prevalence)
    assert len(labels) == 101
    even = np.arange(2, 101, 2)
    assert np.abs(np.cumsum(labels)[even - 1] - even * prevalence).max() <= 0.5 + 1e-9


def test_test_patients_are_one_in_each_four_of_a_class(rng):
    labels = np.array([0, 1, 1, 0] * 8)
    marked = _test_patients(rng, labels)
    for label in (0, 1):
        assert (marked[labels == label].reshape(-1, 4).sum(axis=1) == 1).all()


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"n_patients": 0}, "n_patients must be an int of at least 1, got 0"),
        ({"n_patients": 2.5}, "n_patients"),
        ({"image_size": 8}, "image_size must be an int of at least 16 pixels, got 8"),
        ({"prevalence": 1.2}, r"prevalence must be a number in \[0, 1\], got 1.2"),
        ({"noise": -1}, "noise"),
        ({"asymmetry": "much"}, "asymmetry"),
        ({"lesion_contrast": float("nan")}, "lesion_contrast"),
        ({"images_per_patient": 0}, "images_per_patient"),
        ({"images_per_patient": (3, 2)}, "images_per_patient"),
        ({"images_per_patient": (1, 2, 3)}, "images_per_patient"),
        ({"images_per_patient": 1.5}, "images_per_patient"),
        ({"images_per_patient": ()}, "images_per_patient"),
        ({"images_per_patient": "few"}, "images_per_patient"),
        ({"random_state": "today"}, "random_state"),
    ],
)
def test_wrong_parameters_are_named(changed, message):
    with pytest.raises(ValueError, match=message):
        make_scan_phantoms(**({"n_patients": 2, "image_size": 16} | changed))


def test_brightness_tells_little():
    scans = make_scan_phantoms(150, images_per_patient=2, image_size=32, random_state=0)
    X = scans.data.reshape(len(scans.data), -1) / 255
    train = scans.groups < 40
    clf = LogisticRegression(max_iter=2000).fit(X[train], scans.target[train])
    scores = clf.decision_function(X[~train])
    assert roc_auc_score(scans.target[~train], scores) < 0.75
    assert abs(roc_auc_score(scans.target, X.mean(axis=1)) - 0.5) < 0.15


@pytest.mark.slow
def test_a_supervised_network_sees_the_lesions(rng):
    scans = make_scan_phantoms(300, images_per_patient=3, image_size=64, random_state=0)
    images = (torch.tensor(scans.data[:, None]) / 255 - 0.5) / 0.25  # (n, 1, H, W)
    labels = torch.tensor(scans.target).float()
    train = np.flatnonzero(scans.groups < 200)
    held_out = scans.groups >= 200
    with isolated_rng(0):
        layers = []
        for n_in, n_out in ((1, 16), (16, 32), (32, 64), (64, 128)):
            conv = nn.Conv2d(n_in, n_out, 3, padding=1)
            layers += [conv, nn.BatchNorm2d(n_out), nn.ReLU(), nn.MaxPool2d(2)]
        head = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(128, 1)]
        net = nn.Sequential(*layers, *head)
    optimizer = torch.optim.Adam(net.parameters(), lr=2e-3)
    for _ in range(25):
        for rows in np.array_split(rng.permutation(train), 18):
            batch = images[rows].flip(-1) if rng.random() < 0.5 else images[rows]
            batch = batch * float(rng.uniform(0.8, 1.2))
            loss = nn.functional.binary_cross_entropy_with_logits(
                net(batch)[:, 0], labels[rows]
            )
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    with torch.no_grad():
        scores = net.eval()(images[torch.tensor(held_out)])[:, 0].numpy()
    assert roc_auc_score(scans.target[held_out], scores) > 0.88
