"""From files and arrays to uint8 batches on the device."""

from skssl.data.check import ImageReport, check_images
from skssl.data.digests import image_digests
from skssl.data.files import (
    ImageSlice,
    digest_file,
    list_slices,
    read_header,
    read_image,
)
from skssl.data.formats import ImageFormat, Resize
from skssl.data.inputs import fold_rows, is_table, make_source
from skssl.data.loader import Batch, DeviceLoader
from skssl.data.reader import (
    ImageReader,
    check_image_parameters,
)
from skssl.data.sizes import ImageSize, choose_image_size, choose_store_size
from skssl.data.sources import (
    ArraySource,
    FileSource,
    ImageSource,
    tensor_to_array,
)
from skssl.data.store import ImageStore, iter_batches, render_row
from skssl.data.survey import Color, ImageSurvey, survey_images

__all__ = [
    "ArraySource",
    "Batch",
    "Color",
    "DeviceLoader",
    "FileSource",
    "ImageFormat",
    "ImageReader",
    "ImageReport",
    "ImageSize",
    "ImageSlice",
    "ImageSource",
    "ImageStore",
    "ImageSurvey",
    "Resize",
    "check_image_parameters",
    "check_images",
    "choose_image_size",
    "choose_store_size",
    "digest_file",
    "fold_rows",
    "image_digests",
    "is_table",
    "iter_batches",
    "list_slices",
    "make_source",
    "read_header",
    "read_image",
    "render_row",
    "survey_images",
    "tensor_to_array",
]
