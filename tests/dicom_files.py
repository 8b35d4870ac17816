"""DICOM files that tests write."""

import numpy as np


def write_dicom(
    path,
    pixels,
    *,
    photometric="MONOCHROME2",
    bits=None,
    high_bit=None,
    compress=None,
    preamble=True,
    **tags,
):
    """Write pixels (H, W), (n, H, W) or (H, W, 3) with further tags."""
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

    kind = tags.pop("SOPClassUID", CTImageStorage)
    uid = tags.pop("SOPInstanceUID", generate_uid())
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = kind
    meta.MediaStorageSOPInstanceUID = uid
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset = Dataset()
    dataset.file_meta = meta
    dataset.SOPClassUID, dataset.SOPInstanceUID = kind, uid
    is_colour = photometric in ("RGB", "YBR_FULL")
    dataset.Rows, dataset.Columns = (
        pixels.shape[-3:-1] if is_colour else pixels.shape[-2:]
    )
    dataset.SamplesPerPixel = 3 if is_colour else 1
    if is_colour:
        dataset.PlanarConfiguration = tags.pop("PlanarConfiguration", 0)
    if pixels.ndim == 3 + is_colour:
        dataset.NumberOfFrames = len(pixels)
    dataset.PhotometricInterpretation = photometric
    dataset.BitsAllocated = pixels.dtype.itemsize * 8
    dataset.BitsStored = bits or dataset.BitsAllocated
    dataset.HighBit = dataset.BitsStored - 1 if high_bit is None else high_bit
    dataset.PixelRepresentation = int(pixels.dtype.kind == "i")
    dataset.PixelData = pixels.tobytes() + b"\0" * (pixels.nbytes % 2)
    dataset["PixelData"].VR = "OB" if dataset.BitsAllocated == 8 else "OW"
    for name, value in tags.items():
        setattr(dataset, name, value)
    if compress is not None:
        dataset.compress(compress)
    dataset.save_as(path, enforce_file_format=preamble)
    return path


def lookup_table(values, first=0, bits=16):
    """Return the item of a modality or VOI LUT sequence."""
    from pydicom.dataset import Dataset

    item = Dataset()
    item.LUTDescriptor = [len(values), first, bits]
    item["LUTDescriptor"].VR = "US"
    item.LUTData = np.asarray(values, np.uint16).tolist()
    item["LUTData"].VR = "US"
    return item


def functional_groups(**groups):
    """Return an item with functional groups, each with one item of tags."""
    from pydicom.dataset import Dataset

    holder = Dataset()
    for name, tags in groups.items():
        item = Dataset()
        for tag, value in tags.items():
            setattr(item, tag, value)
        setattr(holder, name, [item])
    return holder
