"""
From a folder of DICOM files to a cross-validated AUC
=====================================================

A made study of six patients is written as DICOM files without suffixes, as an archive
exports them, and as NIfTI volumes. Some files are compressed, one is damaged, and one
is a secondary capture. The example lists the images with their patients, finds the bad
file, and cross-validates a classifier without dividing a patient.

The images are simulated, and each fold tests two patients only: the AUC has no meaning
beyond the example.
"""

# %%
# A study on disk
# ---------------
# Each patient has two series of eight slices, in Hounsfield units. Three patients have
# lesions.

import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import SimpleITK
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import (
    CTImageStorage,
    ExplicitVRLittleEndian,
    RLELossless,
    SecondaryCaptureImageStorage,
    generate_uid,
)

from skssl.datasets import make_scan_phantoms

phantoms = make_scan_phantoms(12, images_per_patient=16, image_size=64, random_state=0)
ids = np.unique(phantoms.groups)
is_ill = np.array([phantoms.target[phantoms.groups == i].any() for i in ids])
chosen = [*ids[is_ill][:3], *ids[~is_ill][:3]]
sick = {f"P{number}": number < 3 for number in range(6)}
temporary = tempfile.TemporaryDirectory()
folder = Path(temporary.name)


def write(path, pixels, *, kind=CTImageStorage, compress=False, **tags):
    """Write a CT slice or a secondary capture."""
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID = kind
    uid = generate_uid(entropy_srcs=[str(path)])
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID = uid
    dataset.Rows, dataset.Columns = pixels.shape
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.BitsAllocated = dataset.BitsStored = 8 * pixels.dtype.itemsize
    dataset.HighBit, dataset.PixelRepresentation = dataset.BitsStored - 1, 0
    dataset.PixelData = pixels.tobytes()
    dataset["PixelData"].VR = "OW"
    for name, value in tags.items():
        setattr(dataset, name, value)
    if compress:
        dataset.compress(RLELossless)
    dataset.save_as(path, enforce_file_format=True)


(folder / "dicom").mkdir()
(folder / "nifti").mkdir()
for patient, phantom in zip(sick, chosen, strict=True):
    gray = phantoms.data[phantoms.groups == phantom]  # (16, 64, 64)
    hounsfield = np.rint(gray / 255 * 1400 - 1000).astype(np.int16)
    for series, volume in enumerate(np.split(hounsfield, 2)):
        tags = {
            "PatientID": patient,
            "StudyInstanceUID": generate_uid(entropy_srcs=[patient]),
            "SeriesInstanceUID": generate_uid(entropy_srcs=[patient, str(series)]),
            "Modality": "CT",
            "RescaleSlope": 1,
            "RescaleIntercept": -1024,
            "ImageOrientationPatient": [1, 0, 0, 0, 1, 0],
        }
        for z, pixels in enumerate(volume):
            write(
                folder / "dicom" / f"{patient}S{series}I{z:03}",
                (pixels + 1024).astype(np.uint16),
                compress=series == 1,
                ImagePositionPatient=[0, 0, 5.0 * z],
                **tags,
            )
        image = SimpleITK.GetImageFromArray(volume)
        SimpleITK.WriteImage(image, folder / "nifti" / f"{patient}_{series}.nii.gz")
capture = np.zeros((64, 64), np.uint8)
kind = SecondaryCaptureImageStorage
write(folder / "dicom" / "SC", capture, kind=kind, PatientID="P0", Modality="OT")
damaged = folder / "dicom" / "P3S0I004"
damaged.write_bytes(damaged.read_bytes()[:-3000])

# %%
# Ten lines
# ---------
# The headers give slices, series and patients. ``check_images`` finds the file that
# cannot be decoded. The window is that of the lungs.

from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedGroupKFold, cross_val_score
from sklearn.pipeline import make_pipeline

from skssl import SelfSupervisedPretrainer
from skssl.data import check_images
from skssl.datasets import load_dicom_folder, load_volumes

scans = load_dicom_folder(folder / "dicom", modality="CT")
print(scans.DESCR)
report = check_images(scans.data, verbose=0)
print(report)
X, patients = scans.data[report.readable], scans.groups[report.readable]
y = np.array([sick[patient] for patient in patients])
ssl = SelfSupervisedPretrainer(
    backbone="resnet18", value_range=(-1000, 400), max_epochs=2, random_state=0
)
clf = make_pipeline(ssl, LogisticRegression(C=0.01, max_iter=1000))
folds = StratifiedGroupKFold(3, shuffle=True, random_state=0)
auc = cross_val_score(clf, X, y, groups=patients, cv=folds, scoring="roc_auc")
print(f"AUC {auc.mean():.2f} (folds: {', '.join(f'{a:.2f}' for a in auc)})")

# %%
# The same study as volumes
# -------------------------
# Slices of NIfTI files are items of X as well. Here the patient is the part of the file
# name before the underscore.


def patient_of(path):
    """Return the patient of a file such as P3_0.nii.gz."""
    return path.name.split("_")[0]


volumes = load_volumes(folder / "nifti", slices=4, patient=patient_of)
print(volumes.DESCR)
print(volumes.data[0])
features = ssl.set_params(max_epochs=0).fit_transform(volumes.data)
print(features.shape)

# %%
# Pictures
# --------
# One slice of each patient, as the network sees it; below, a coronal slice of the same
# volumes. Eight slices make it flat.

from skssl.data import read_image

fig, axes = plt.subplots(2, 6, figsize=(11, 2.8), height_ratios=(3, 1))
coronal = load_volumes(folder / "nifti", axis="coronal", slices=1, patient=patient_of)
for column, patient in enumerate(sick):
    slices = scans.data[scans.groups == patient]
    shown = {"vmin": -1000, "vmax": 400, "cmap": "gray"}
    axes[0, column].imshow(read_image(slices[6]), **shown)
    title = f"{patient}, {'ill' if sick[patient] else 'healthy'}"
    axes[0, column].set_title(title, fontsize=9)
    axes[1, column].imshow(read_image(coronal.data[2 * column]), **shown, aspect=2)
for ax in axes.flat:
    ax.set_axis_off()
fig.tight_layout()

output = Path("output")
output.mkdir(exist_ok=True)
fig.savefig(output / "dicom_study.png", dpi=120)
print(f"plot saved to {output / 'dicom_study.png'}")
temporary.cleanup()
