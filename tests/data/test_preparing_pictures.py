"""Pictures of digits become the images that MNIST would have made of them."""

from __future__ import annotations

from collections.abc import Callable
from itertools import chain

import numpy as np
import pytest
from numpy.typing import NDArray

from mlp_cli.data.pictures.components import components
from mlp_cli.data.pictures.digit import stroke_width
from mlp_cli.data.pictures.prepare import prepare_digit, prepare_digits
from mlp_cli.data.pictures.ruling import ruled_lines
from mlp_cli.data.pictures.windows import box_mean, closing, dilated, reduced, scaled

Picture = NDArray[np.float32]
SIDE = 240


def digit(down: int = 60, right: int = 70) -> Picture:
    """A picture of a 7 in black on white, its ink in rows and columns from these on."""
    picture = np.full((SIDE, SIDE), 255, np.float32)
    picture[down : down + 14, right : right + 80] = 0
    for step in range(100):
        left = right + 66 - step // 2
        picture[down + step, left : left + 14] = 0
    return picture


def image_of(picture: Picture) -> NDArray[np.int64]:
    found, digits = prepare_digit(picture)
    assert digits == 1
    assert found is not None
    return found.image.astype(np.int64)


EXPECTED = image_of(digit())


def test_a_digit_has_the_size_and_the_place_that_it_has_in_mnist() -> None:
    for image in (EXPECTED, image_of(digit()[40:180, 50:170])):
        rows, columns = np.flatnonzero(image.any(axis=1)), np.flatnonzero(image.any(axis=0))
        assert max(np.ptp(rows), np.ptp(columns)) + 1 == 20
        middles = (image.sum(axis=1) @ np.arange(28), image.sum(axis=0) @ np.arange(28))
        assert [middle / image.sum() for middle in middles] == pytest.approx([14, 14], abs=0.51)
        assert image.max() == 255


def noisy(picture: Picture) -> Picture:
    return np.clip(picture + np.random.default_rng(1).normal(0, 12, picture.shape), 0, 255)


def ruled(picture: Picture) -> Picture:
    lines = picture.copy()
    for row in range(9, SIDE, 24):
        lines[row : row + 2] = np.minimum(lines[row : row + 2], 90)
    lines[:, 30:32] = np.minimum(lines[:, 30:32], 90)
    return lines


def shaded(picture: Picture) -> Picture:
    return picture * np.linspace(0.35, 1, SIDE, dtype=np.float32)


def in_shadow(picture: Picture) -> Picture:
    return picture * np.where(np.add.outer(np.arange(SIDE), np.arange(SIDE)) < 260, 0.6, 1)


def beside_strips_of_a_table(picture: Picture) -> Picture:
    seen = picture * 0.3 + 150  # pale ink
    seen[80:, -11:] = seen[:11, :180] = 10
    return seen


def on_table(picture: Picture) -> Picture:
    return np.pad(picture[20:-20, 20:-20], 20, constant_values=50)


@pytest.mark.parametrize(
    ("change", "closest"),
    [
        (lambda picture: 255 - picture, 1),
        (lambda picture: picture * 0.2 + 100, 1),
        (lambda picture: 65535 / 255 * picture, 1),
        (lambda picture: np.kron(picture, np.ones((3, 3), np.float32)), 8),
        (lambda picture: reduced(picture, 80), 12),
        (lambda picture: np.pad(picture, ((0, 300), (150, 0)), constant_values=255), 8),
        (lambda picture: box_mean(picture, 3), 8),
        (noisy, 6),
        (shaded, 6),
        (lambda picture: 255 - noisy(shaded(picture)), 8),
        (in_shadow, 6),
        (on_table, 6),
        (beside_strips_of_a_table, 6),
        (ruled, 12),
    ],
)
def test_paper_light_size_and_place_hardly_change_what_the_network_sees(
    change: Callable[[Picture], Picture], closest: float
) -> None:
    assert np.abs(image_of(change(digit())) - EXPECTED).mean() < closest


@pytest.mark.parametrize("erode", [4, 10])
def test_thin_strokes_become_as_wide_as_those_of_mnist(erode: int) -> None:
    thin = dilated(digit() / 255, erode / 2) * 255
    assert (thin < 128).sum() < 0.8 * (digit() < 128).sum()
    assert image_of(thin).sum() == pytest.approx(EXPECTED.sum(), rel=0.25)


@pytest.mark.parametrize(
    "blank",
    [
        np.full((1, 1), 255, np.float32),
        np.full((2, 30000), 7, np.float32),
        np.full((300, 200), 255, np.float32),
        noisy(np.full((SIDE, SIDE), 200, np.float32)),
        shaded(np.full((SIDE, SIDE), 200, np.float32)),
        ruled(np.full((SIDE, SIDE), 230, np.float32)),
        np.tile([0.0, 255.0], (2, 15000)),
    ],
    ids=lambda picture: str(picture.shape),
)
def test_paper_without_a_digit_is_blank(blank: Picture) -> None:
    assert prepare_digit(blank) == (None, 0)
    assert prepare_digits(blank) == []


def test_several_digits_are_counted_and_the_largest_is_prepared() -> None:
    both = np.hstack([digit(), scaled(digit(), 160, 160).repeat([1] * 80 + [2] * 80, axis=0)])
    found, digits = prepare_digit(both)
    assert digits == 2
    assert found is not None
    assert np.abs(found.image - EXPECTED).mean() < 8


@pytest.mark.parametrize("slope", [-0.12, 0, 0.12])
def test_the_digits_of_a_sheet_are_read_in_lines(slope: float) -> None:
    heights = np.array([[30, 36, 24, 33], [27, 38, 31, 26]])
    sheet = np.full((300, 400), 255, np.float32)
    for (line, column), height in np.ndenumerate(heights):
        left = 40 + 90 * column
        top = 80 + 120 * line + round(slope * left) - height // 2
        sheet[top : top + height, left : left + 12] = 0
    found = prepare_digits(sheet)
    assert [[box[2] - box[0] for _, box in line] for line in found] == heights.tolist()


def test_a_short_line_is_read_after_the_long_line_above_it_also_on_a_slanted_sheet() -> None:
    sheet = np.full((300, 800), 255, np.float32)
    for left in range(40, 720, 80):
        top = 60 + left // 5
        sheet[top : top + 30, left : left + 8] = 0
    sheet[125:150, 40:48] = 0  # below the first of them, and above the last
    found = prepare_digits(sheet)
    assert [len(line) for line in found] == [9, 1]
    assert found[1][0].box == pytest.approx((125, 40, 150, 48), abs=2)


def test_parts_of_a_digit_are_joined_and_other_digits_are_not() -> None:
    five = np.full((SIDE, SIDE), 255, np.float32)
    five[60:72, 110:160] = 0  # the upper stroke, apart from the rest
    five[80:130, 80:92] = 0
    five[120:132, 80:150] = 0
    five[120:190, 140:152] = 0
    five[180:192, 80:150] = 0
    found, digits = prepare_digit(five)
    assert digits == 1
    assert found is not None
    assert found.box == pytest.approx((60, 80, 192, 160), abs=2)
    assert [len(line) for line in prepare_digits(np.hstack([digit(), digit()]))] == [2]


def test_digits_of_a_sheet_that_touch_are_cut() -> None:
    sheet = np.hstack([digit()] * 5)
    sheet = np.delete(sheet, slice(160, 290), axis=1)
    sheet[66:70, 140:200] = 0  # a stroke from the first to the second
    (line,) = prepare_digits(sheet)
    assert [box[1] for _, box in line] == pytest.approx([70, 160, 420, 660, 900], abs=20)


@pytest.mark.long
@pytest.mark.parametrize("seed", range(4))
def test_any_picture_has_an_answer(seed: int) -> None:
    random = np.random.default_rng(seed)
    for _ in range(12):
        height, width = random.integers(1, [2, 12, 70, 300][seed], 2)
        picture = random.integers(0, 256, (height, width)).astype(np.float32)
        if random.random() < 0.5:
            picture = np.where(picture < random.integers(1, 255), 0, 255).astype(np.float32)
        if random.random() < 0.5:
            picture = scaled(picture, int(random.integers(1, 200)), int(random.integers(1, 200)))
        for prepared in [prepare_digit(picture)[0], *chain.from_iterable(prepare_digits(picture))]:
            assert prepared is None or (prepared.image.shape, prepared.image.any()) == (
                (28, 28),
                True,
            )


def test_a_ruled_line_is_taken_away_and_no_stroke_that_crosses_it() -> None:
    ink = np.zeros((200, 200), bool)
    ink[50:150, 90:102] = True
    lines = ink.copy()
    for row in range(20, 200, 40):
        lines[row : row + 2] = True
    lines[:, 40:42] = True
    assert np.array_equal(lines & ~ruled_lines(lines), ink)
    assert not ruled_lines(ink).any()


def test_components_are_those_of_a_flood() -> None:
    random = np.random.default_rng(2)
    for share in (0.1, 0.4, 0.6, 1.0):
        mask = random.random((23, 31)) < share
        found = components(mask)
        flooded = flood(mask)
        assert len(found) == flooded.max()
        for number in range(len(found)):
            own = found.mask(np.arange(len(found)) == number)
            rows, columns = np.nonzero(own)
            assert len(set(flooded[own])) == 1
            assert own.sum() == (flooded == flooded[rows[0], columns[0]]).sum()
            assert own.sum() == found.area[number]
            box = (found.top, found.bottom, found.left, found.right)
            edges = (rows.min(), rows.max() + 1, columns.min(), columns.max() + 1)
            assert tuple(edge[number] for edge in box) == edges


def flood(mask: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Number the components of a mask from 1, by going from each pixel to its eight neighbours."""
    numbers = np.zeros(mask.shape, np.int64)
    for start in zip(*np.nonzero(mask), strict=True):
        if numbers[start]:
            continue
        number, stack = numbers.max() + 1, [start]
        while stack:
            row, column = stack.pop()
            if not mask[row, column] or numbers[row, column]:
                continue
            numbers[row, column] = number
            rows = range(max(0, row - 1), min(mask.shape[0], row + 2))
            columns = range(max(0, column - 1), min(mask.shape[1], column + 2))
            stack += [(r, c) for r in rows for c in columns]
    return numbers


@pytest.mark.parametrize("radius", [1, 2, 5, 30])
def test_windows_are_those_of_each_pixel(radius: int) -> None:
    picture = np.random.default_rng(3).random((17, 12)).astype(np.float32)

    def each(values: Picture, of: Callable[[Picture], float]) -> Picture:
        spans = [
            [slice(max(0, at - radius), at + radius + 1) for at in range(n)] for n in values.shape
        ]
        return np.array([[of(values[r, c]) for c in spans[1]] for r in spans[0]], np.float32)

    assert box_mean(picture, radius) == pytest.approx(each(picture, np.mean), abs=1e-6)
    assert np.array_equal(closing(picture, radius), each(each(picture, np.max), np.min))


@pytest.mark.parametrize("shape", [(1, 1), (5, 40), (17, 12), (50, 9)])
def test_scaling_keeps_the_mean_and_what_is_even(shape: tuple[int, int]) -> None:
    picture = np.random.default_rng(4).random((15, 20)).astype(np.float32)
    assert scaled(picture, 15, 20) == pytest.approx(picture)
    assert scaled(picture * 0 + 3, *shape) == pytest.approx(np.full(shape, 3.0))
    if shape[0] <= 15 and shape[1] <= 20:
        assert scaled(picture, *shape).mean() == pytest.approx(picture.mean())
    assert reduced(picture, 10).shape == (8, 10)
    assert reduced(np.zeros((2, 30000), np.uint8), 512).shape == (1, 512)


@pytest.mark.parametrize("width", [4, 9, 14])
def test_the_width_of_a_stroke_is_measured(width: int) -> None:
    strip = np.zeros((100, 60), np.float32)
    strip[5:95, 20 : 20 + width] = 1
    assert stroke_width(strip) == pytest.approx(width, rel=0.02)
