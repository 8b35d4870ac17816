"""DICOM files: modality values, windows, colours, frames, and clear refusals."""

import sys
import zlib

import numpy as np
import pytest

from skssl import SelfSupervisedPretrainer
from skssl.data import (
    ImageFormat,
    ImageReader,
    ImageSlice,
    ImageStore,
    list_slices,
    make_source,
    read_header,
    read_image,
)
from skssl.exceptions import ImageReadError
from tests.dicom_files import functional_groups, lookup_table, write_dicom

pydicom = pytest.importorskip("pydicom")

RAMP = np.arange(64, dtype=np.uint16).reshape(8, 8)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "a.dcm"


def shown(path, value_range):
    """Return the uint8 pixels that a network gets of an image in its own size."""
    source = make_source([path])
    header = read_header(path)
    store = ImageStore.build(
        source,
        np.arange(1),
        image_format=ImageFormat(1, value_range),
        size=(header.height, header.width),
    )
    return store.images[0, 0].numpy()


class TestModalityValues:
    def test_hounsfield_units(self, path):
        stored = np.array([[0, 24], [1024, 2024]], dtype=np.uint16)
        write_dicom(path, stored, RescaleSlope=2, RescaleIntercept=-1024)
        values = read_image(path)
        np.testing.assert_array_equal(values, stored * 2.0 - 1024)
        assert values.dtype.kind == "i"
        header = read_header(path)
        assert (header.height, header.width, header.n_channels) == (2, 2, 1)
        assert not header.eight_bit

    def test_fractional_slopes_give_floats(self, path):
        write_dicom(path, RAMP, RescaleSlope=0.5, RescaleIntercept=1)
        values = read_image(path)
        assert values.dtype == np.float32
        np.testing.assert_array_equal(values, RAMP / 2 + 1)

    @pytest.mark.parametrize(
        ("tags", "low"),
        [
            ({"RescaleSlope": None, "RescaleIntercept": None}, 0),
            ({"RescaleSlope": "1", "RescaleIntercept": None}, 0),
            ({"RescaleSlope": "1", "RescaleIntercept": []}, 0),
            ({"RescaleSlope": None, "RescaleIntercept": "-5"}, -5),
            ({"RescaleIntercept": "-5"}, -5),
            ({"RescaleSlope": "1"}, 0),
        ],
        ids=str,
    )
    @pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
    def test_empty_and_absent_rescaling(self, path, tags, low, dtype):
        write_dicom(path, RAMP.astype(dtype), **tags)
        values = read_image(path)
        np.testing.assert_array_equal(values, RAMP.astype(int) + low)
        assert read_header(path).eight_bit == (values.dtype == np.uint8)

    @pytest.mark.parametrize("entries_bits", [8, 12, 16])
    @pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
    def test_modality_lut(self, path, dtype, entries_bits):
        table = np.arange(64)[::-1] * (2 ** (entries_bits - 6))
        item = lookup_table(table, bits=entries_bits)
        write_dicom(path, RAMP.astype(dtype), ModalityLUTSequence=[item])
        values = read_image(path)
        np.testing.assert_array_equal(values, table[RAMP])
        assert read_header(path).eight_bit == (values.dtype == np.uint8)

    def test_each_frame_has_its_own_rescaling(self, path):
        frames = [
            functional_groups(PixelValueTransformationSequence={"RescaleSlope": s})
            for s in (1, 3)
        ]
        shared = functional_groups(
            PixelValueTransformationSequence={"RescaleIntercept": -100}
        )
        write_dicom(
            path,
            np.stack([RAMP, RAMP]),
            PerFrameFunctionalGroupsSequence=frames,
            SharedFunctionalGroupsSequence=[shared],
        )
        first, second = list_slices(path)
        np.testing.assert_array_equal(read_image(first), RAMP)
        np.testing.assert_array_equal(read_image(second), RAMP * 3)

    @pytest.mark.parametrize("signed", [False, True])
    @pytest.mark.parametrize("high_bit", [11, 15])
    def test_bits_of_overlays_are_ignored(self, path, signed, high_bit):
        values = np.array([[0, 1, 700], [5, 2047, 9]], dtype=np.uint16)
        if signed:
            values[0, 0] = 0x800  # -2048 in 12 bits
        stored = values << (high_bit - 11)
        overlay = np.uint16(0xF000) if high_bit == 11 else np.uint16(0x000F)
        stored = (stored | overlay).view(np.int16 if signed else np.uint16)
        write_dicom(path, stored, bits=12, high_bit=high_bit)
        expected = values.astype(int)
        if signed:
            expected[0, 0] = -2048
        np.testing.assert_array_equal(read_image(path), expected)

    def test_few_bits_are_no_gray_levels(self, path):
        write_dicom(path, (RAMP % 2).astype(np.uint8), bits=1)
        assert not read_header(path).eight_bit
        assert shown(path, (0.0, 1.0)).max() == 255

    @pytest.mark.parametrize(
        ("pixels", "expected"),
        [
            (np.array([[0, 55], [200, 255]], np.uint8), [[255, 200], [55, 0]]),
            (np.array([[-100, 0], [99, 500]], np.int16), [[99, -1], [-100, -501]]),
        ],
        ids=["8 bits", "signed"],
    )
    def test_monochrome1_is_inverted(self, path, pixels, expected):
        write_dicom(path, pixels, photometric="MONOCHROME1")
        np.testing.assert_array_equal(read_image(path), expected)
        assert read_header(path).eight_bit == (pixels.dtype == np.uint8)

    @pytest.mark.parametrize("value", ["inf", "nan"])
    def test_infinite_slope_is_refused(self, path, value):
        write_dicom(path, RAMP, RescaleSlope="1.5")
        path.write_bytes(path.read_bytes().replace(b"1.5 ", value.encode() + b" "))
        for read in (read_header, read_image):
            with pytest.raises(ImageReadError, match=r"a\.dcm.*RescaleSlope"):
                read(path)


class TestRanges:
    @pytest.fixture
    def ct(self, tmp_path, rng):
        """Six CT files with values from -1024 to about 2974."""
        paths = []
        for i in range(6):
            stored = rng.integers(0, 3999, (16, 16), dtype=np.uint16)
            paths.append(
                write_dicom(
                    tmp_path / f"{i}.dcm",
                    stored,
                    RescaleSlope=1,
                    RescaleIntercept=-1024,
                )
            )
        return paths

    @pytest.mark.parametrize("slope", [1, 1.25])
    def test_a_window_from_files_to_features(self, tmp_path, ct, tiny_ssl, slope):
        if slope != 1:
            for path in ct:
                stored = pydicom.dcmread(path)
                stored.RescaleSlope = slope
                stored.save_as(path)
        window = (-1000, 400)
        features = tiny_ssl(value_range=window).fit_transform(ct)
        hu = np.stack([read_image(path) for path in ct]).astype(float)
        levels = np.rint(255 * (np.clip(hu, *window) + 1000) / 1400).astype(np.uint8)
        expected = tiny_ssl().fit_transform(levels)
        np.testing.assert_array_equal(features, expected)

    def test_bits(self, tmp_path):
        """Files of 10 and 14 bits keep their gray levels side by side."""
        a = write_dicom(tmp_path / "a.dcm", RAMP * 16, bits=10)
        b = write_dicom(tmp_path / "b.dcm", RAMP * 256, bits=14)
        ramp = RAMP.astype(float)
        np.testing.assert_array_equal(shown(a, "bits"), np.rint(ramp * 16 * 255 / 1023))
        np.testing.assert_array_equal(
            shown(b, "bits"), np.rint(ramp * 256 * 255 / 16383)
        )
        np.testing.assert_array_equal(shown(a, "image"), shown(b, "image"))
        assert len(np.unique(shown(a, (0.0, 16383.0)))) < 20 < len(np.unique(RAMP))

    def test_the_range_of_a_reader_survives_json(self, ct):
        reader = ImageReader.learn(
            make_source(ct), np.arange(6), value_range="window:1"
        )
        assert ImageReader.from_config(reader.config()) == reader
        assert reader.image_format.window == 1

    def test_windows_are_those_of_pydicom(self, path):
        write_dicom(
            path,
            RAMP * 60,
            bits=12,
            RescaleSlope=1,
            RescaleIntercept=-1024,
            WindowCenter=[40, -600],
            WindowWidth=[400, 1500],
        )
        dataset = pydicom.dcmread(path)
        for window, name in ((0, "window"), (0, "window:0"), (1, "window:1")):
            hu = pydicom.pixels.apply_modality_lut(dataset.pixel_array, dataset)
            y = pydicom.pixels.apply_windowing(hu, dataset, window)
            low, high = -1024.0, 4095.0 - 1024
            expected = np.rint(255 * (y - low) / (high - low))
            np.testing.assert_array_equal(shown(path, name), expected)
        with pytest.raises(ImageReadError, match=r"X\[0\].*2 windows.*number 2"):
            shown(path, "window:2")

    def test_a_window_of_values_with_a_negative_slope(self, path):
        tags = {"WindowCenter": 32, "WindowWidth": 65}
        write_dicom(path, RAMP, RescaleSlope=-1, RescaleIntercept=63, **tags)
        levels = shown(path, "window").astype(int)
        assert levels[0, 0] == 255 - levels[-1, -1]
        assert (np.diff(levels.ravel()) < 0).all()

    def test_a_voi_lut_is_a_window(self, path):
        table = np.arange(64)[::-1] * 4
        write_dicom(path, RAMP, bits=12, VOILUTSequence=[lookup_table(table, bits=8)])
        np.testing.assert_array_equal(shown(path, "window"), table[RAMP])

    def test_monochrome1_is_inverted_after_the_window(self, path):
        write_dicom(
            path,
            RAMP,
            photometric="MONOCHROME1",
            bits=6,
            WindowCenter=32,
            WindowWidth=65,
        )
        levels = shown(path, "window").astype(int)
        assert levels[0, 0] > levels[-1, -1]

    @pytest.mark.parametrize("name", ["window", "bits"])
    def test_files_without_what_is_asked_for_are_named(self, tmp_path, name):
        if name == "window":
            path = write_dicom(tmp_path / "a.dcm", RAMP)
            with pytest.raises(ImageReadError, match=r"a\.dcm.*no windows"):
                shown(path, name)
        else:
            X = np.zeros((2, 8, 8))
            with pytest.raises(ValueError, match=r"X\[0\]: its values of type float64"):
                SelfSupervisedPretrainer(value_range=name, max_epochs=0).fit(X)

    def test_padding_is_black_and_sets_no_range(self, path, tmp_path):
        stored = RAMP.astype(np.int16) + 100
        stored[0] = -2000
        write_dicom(path, stored, PixelPaddingValue=-2000)
        other = write_dicom(tmp_path / "b.dcm", stored[1:] * np.int16(1))
        np.testing.assert_array_equal(read_image(path), stored)  # as they are stored
        survey = ImageReader.learn(make_source([path, other]), np.arange(2))
        assert survey.image_format.value_range == (108, 163)
        levels = shown(path, "image")
        assert (levels[0] == 0).all()
        assert (levels[1, 0], levels[-1, -1]) == (0, 255)

    def test_padding_of_an_inverted_image_is_black(self, path):
        stored = RAMP + 100
        stored[0] = 0
        write_dicom(path, stored, photometric="MONOCHROME1", PixelPaddingValue=0)
        assert (shown(path, "image")[0] == 0).all()

    def test_a_range_of_padding_values(self, path):
        stored = RAMP.astype(np.int16)
        write_dicom(path, stored, PixelPaddingValue=0, PixelPaddingRangeLimit=15)
        levels = shown(path, "image")
        assert (levels[:2] == 0).all()
        assert levels[2, 1] == round(255 / 47)

    @pytest.mark.parametrize("written", ["signed", "unsigned"])
    def test_padding_with_few_bits(self, path, written):
        stored = RAMP.astype(np.int16) + 100
        stored[0] = -2000
        value = -2000 if written == "signed" else 63536
        write_dicom(path, stored, bits=12)
        dataset = pydicom.dcmread(path)
        kind = "SS" if written == "signed" else "US"
        dataset.add_new("PixelPaddingValue", kind, value)
        dataset.save_as(path)
        levels = shown(path, "image")
        assert (levels[0] == 0).all()
        assert levels[1, 0] == 0
        assert levels[-1, -1] == 255


class TestColours:
    @pytest.mark.parametrize("bits", [8, 16])
    def test_palette(self, path, bits):
        indices = RAMP.astype(np.uint8)
        dtype = np.uint8 if bits == 8 else np.uint16
        tables = {}
        for number, colour in enumerate(("Red", "Green", "Blue")):
            values = (255 - np.arange(256) // (number + 1)).astype(dtype)
            values = values * (1 if bits == 8 else 257)
            name = f"{colour}PaletteColorLookupTable"
            tables[f"{name}Descriptor"] = [256, 0, bits]
            tables[f"{name}Data"] = values.astype(dtype).tobytes()
        write_dicom(path, indices, photometric="PALETTE COLOR", **tables)
        image = read_image(path)
        expected = np.stack([255 - indices // k for k in (1, 2, 3)], axis=2)
        np.testing.assert_array_equal(image, expected)
        assert read_header(path).n_channels is None

    @pytest.mark.parametrize("planar", [0, 1])
    def test_rgb(self, path, rng, planar):
        rgb = rng.integers(0, 256, (6, 4, 3), dtype=np.uint8)
        write_dicom(path, rgb, photometric="RGB")
        if planar:
            dataset = pydicom.dcmread(path)
            dataset.PlanarConfiguration = 1
            dataset.PixelData = rgb.transpose(2, 0, 1).tobytes()
            dataset.save_as(path)
        np.testing.assert_array_equal(read_image(path), rgb)

    def test_ybr_becomes_rgb(self, path):
        gray = np.full((4, 4, 3), 128, np.uint8)
        gray[..., 0] = 90
        write_dicom(path, gray, photometric="YBR_FULL")
        np.testing.assert_array_equal(read_image(path), np.full((4, 4, 3), 90))

    def test_deep_colours_are_shown_in_8_bits(self, path):
        rgb = np.full((2, 2, 3), 0xAB12, np.uint16)
        write_dicom(path, rgb, photometric="RGB")
        np.testing.assert_array_equal(read_image(path), np.full((2, 2, 3), 0xAB))


class TestFrames:
    def test_a_frame_must_be_chosen(self, path):
        frames = np.stack([RAMP, RAMP + 1, RAMP + 2])
        write_dicom(path, frames)
        for read in (read_header, read_image):
            with pytest.raises(ImageReadError, match=r"3 frames.*list_slices"):
                read(path)
        slices = list_slices(path)
        for frame, image in zip(frames, slices, strict=True):
            np.testing.assert_array_equal(read_image(image), frame)
        with pytest.raises(ImageReadError, match="no frame 3: it holds 3"):
            read_image(ImageSlice(str(path), 3))

    def test_frames_are_images_of_x(self, path, tiny_ssl, rng):
        frames = rng.integers(0, 256, (6, 16, 16), dtype=np.uint8)
        write_dicom(path, frames)
        features = tiny_ssl().fit_transform(list_slices(path))
        np.testing.assert_array_equal(features, tiny_ssl().fit_transform(frames))

    def test_compressed_frames(self, path):
        frames = np.stack([RAMP, RAMP + 1])
        write_dicom(path, frames, compress=pydicom.uid.RLELossless)
        np.testing.assert_array_equal(read_image(list_slices(path)[1]), RAMP + 1)


class TestRefusals:
    @pytest.mark.parametrize("name", ["IM0001", "1.2.840.113619.2.55"])
    def test_names_without_a_suffix(self, tmp_path, name):
        path = write_dicom(tmp_path / name, RAMP)
        np.testing.assert_array_equal(read_image(path), RAMP)

    @pytest.mark.parametrize("name", ["IM.v2", "slice 1.25mm", "scan.png", "a.jpg"])
    def test_names_with_other_suffixes(self, tmp_path, name):
        path = write_dicom(tmp_path / name, RAMP)
        np.testing.assert_array_equal(read_image(path), RAMP)
        assert (read_header(path).height, read_header(path).width) == (8, 8)
        assert list_slices(path) == [ImageSlice(str(path), 0)]

    def test_empty_bits_are_all_bits(self, path):
        write_dicom(path, RAMP, BitsStored=None)
        np.testing.assert_array_equal(read_image(path), RAMP)

    def test_a_header_without_a_transfer_syntax(self, path):
        write_dicom(path, RAMP)
        dataset = pydicom.dcmread(path)
        del dataset.file_meta.TransferSyntaxUID
        pydicom.dcmwrite(
            path, dataset, implicit_vr=False, little_endian=True, overwrite=True
        )
        np.testing.assert_array_equal(read_image(path), RAMP)

    def test_a_file_without_a_preamble(self, path):
        write_dicom(path, RAMP)
        data = path.read_bytes()
        path.write_bytes(data[132 + 12 + int.from_bytes(data[140:144], "little") :])
        np.testing.assert_array_equal(read_image(path), RAMP)

    @pytest.mark.filterwarnings("ignore::UserWarning:pydicom")
    def test_damaged_files_are_named_without_advice_of_pydicom(self, path):
        path.write_bytes(b"\0" * 128 + b"DICM" + b"x" * 40)
        with pytest.raises(ImageReadError, match=r"a\.dcm"):
            read_image(path)
        path.write_bytes(b"no DICOM at all" * 20)
        with pytest.raises(ImageReadError, match=r"a\.dcm' is not a DICOM file$"):
            read_image(path)

    def test_truncated_pixels_keep_their_kind_of_error(self, path, tmp_path):
        good = write_dicom(tmp_path / "good.dcm", RAMP)
        write_dicom(path, RAMP)
        path.write_bytes(path.read_bytes()[:-40])
        with pytest.raises(ImageReadError, match=r"X\[1\].*a\.dcm.*check_images") as e:
            SelfSupervisedPretrainer(max_epochs=0).fit([good, path])
        assert str(e.value).count("a.dcm") == 1

    @pytest.mark.parametrize(
        ("tags", "message"),
        [
            ({"BitsStored": 40}, "40 bits stored in 16"),
            ({"BitsStored": 0}, "0 bits stored in 16"),
            ({"BitsAllocated": 12}, "bits stored in 12"),
            ({"Rows": 0}, r"no image \(CT Image Storage\)"),
            ({"Rows": 65535, "Columns": 65535}, "more than the limit"),
            ({"SamplesPerPixel": 2}, "2 samples"),
            ({"SamplesPerPixel": 3}, "3 samples .* 'MONOCHROME2'"),
            ({"PhotometricInterpretation": "HSV"}, "'HSV'"),
            ({"RescaleSlope": ["1", "2"]}, r"RescaleSlope is \[1, 2\]"),
            ({"PixelRepresentation": 7}, "PixelRepresentation 7"),
            ({"PixelData": b""}, "no pixel data"),
            (
                {"ModalityLUTSequence": [lookup_table([4095] * 64, bits=8)]},
                "entries of more than 8 bits",
            ),
        ],
        ids=str,
    )
    def test_impossible_headers(self, path, tags, message):
        write_dicom(path, RAMP, **tags)
        with pytest.raises(ImageReadError, match=message):
            read_image(path)

    def test_more_frames_than_bytes(self, path):
        write_dicom(path, RAMP, NumberOfFrames="999999999")
        with pytest.raises(ImageReadError, match="999,999,999 frames, more than"):
            list_slices(path)

    def test_a_dicomdir_is_no_image(self, tmp_path):
        path = tmp_path / "DICOMDIR"
        kind = pydicom.uid.MediaStorageDirectoryStorage
        write_dicom(path, RAMP, SOPClassUID=kind)
        with pytest.raises(ImageReadError, match="index of a medium"):
            read_image(path)

    def test_a_deflated_bomb_is_refused_before_it_fills_the_memory(
        self, path, monkeypatch
    ):
        from skssl.data.files import dicom_dataset

        monkeypatch.setattr(dicom_dataset, "_MAX_BYTES", 100_000)
        write_dicom(path, RAMP)
        dataset = pydicom.dcmread(path)
        dataset.PixelData = bytes(200_000)
        dataset.file_meta.TransferSyntaxUID = pydicom.uid.DeflatedExplicitVRLittleEndian
        dataset.save_as(path)
        assert path.stat().st_size < 2000
        with pytest.raises(ImageReadError, match="inflates to more than"):
            read_image(path)
        assert len(zlib.compress(bytes(200_000))) < 2000

    def test_missing_decoders_name_the_extra(self, path, monkeypatch):
        write_dicom(path, RAMP, compress=pydicom.uid.RLELossless)
        decoder = pydicom.pixels.get_decoder(pydicom.uid.RLELossless)
        monkeypatch.setattr(decoder, "_available", {})
        monkeypatch.setattr(decoder, "_unavailable", {"x": ("numpy",)})
        with pytest.raises(
            ImageReadError, match=r"RLE Lossless.*skssl\[dicom-codecs\]"
        ):
            read_image(path)

    def test_missing_pydicom_is_reported(self, path, monkeypatch):
        write_dicom(path, RAMP)
        monkeypatch.setitem(sys.modules, "pydicom", None)
        with pytest.raises(ImportError, match=r"skssl\[dicom\]"):
            read_image(path)
