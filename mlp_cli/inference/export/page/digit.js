// The ink of one digit is brought to the size, strokes and place that digits have in MNIST, as
// mlp_cli/data/pictures/digit.py does and explains.

const DIGIT = {
  fine: 80, // pixels of the longer side while strokes are measured
  border: 8, // around it, for wider strokes
  paper: 0.25, full: 0.75, // of the level of the ink
  thinnest: 8, thickest: 13, // strokes, in the fine pixels
  mostNarrowed: 6, // fine pixels at each side; more would be a blot
  box: 20, side: 28, centre: 14,
};

// Return the image (28, 28), 0 to 255, of the box of a digit.
function asMnist(darkness, level) {
  const longer = Math.max(darkness.height, darkness.width);
  const size = (n) => Math.max(1, rounded((n * DIGIT.fine) / longer));
  const box = scaled(darkness, size(darkness.height), size(darkness.width));
  const [by, paper, range] = [level, DIGIT.paper, DIGIT.full - DIGIT.paper].map(fround);
  const spread = (x) => fround(fround(fround(x / by) - paper) / range);
  let fine = mapped(padded(box, DIGIT.border), (x) => Math.min(Math.max(spread(x), 0), 1));
  fine = withUsualStrokes(fine);
  fine = cut(fine, boxOf(fine, 0.5));
  const longerFine = Math.max(fine.height, fine.width);
  const [rows, columns] = [fine.height, fine.width].map((n) => (
    Math.max(1, rounded((n * DIGIT.box) / longerFine))
  ));
  const small = scaled(fine, rows, columns);
  const [down, across] = [new Float64Array(rows), new Float64Array(columns)];
  small.values.forEach((ink, i) => {
    down[Math.floor(i / columns)] += ink;
    across[i % columns] += ink;
  });
  const top = placeOf(down), left = placeOf(across);
  const image = { height: DIGIT.side, width: DIGIT.side, values: new Uint8Array(DIGIT.side ** 2) };
  small.values.forEach((ink, i) => {
    const row = top + Math.floor(i / columns), column = left + (i % columns);
    image.values[row * DIGIT.side + column] = Math.floor(fround(fround(255 * ink) + 0.5));
  });
  return image;
}

function padded({ height, width, values }, border) {
  const wide = width + 2 * border, high = height + 2 * border;
  const found = new Float32Array(high * wide);
  for (let row = 0; row < height; row++) {
    const line = values.subarray(row * width, (row + 1) * width);
    found.set(line, (row + border) * wide + border);
  }
  return { height: high, width: wide, values: found };
}

// The box of what reaches `least`; without that, the whole picture.
function boxOf({ height, width, values }, least) {
  const box = { top: height, left: width, bottom: 0, right: 0 };
  values.forEach((x, i) => {
    if (x < least) return;
    const row = Math.floor(i / width), column = i % width;
    box.top = Math.min(box.top, row);
    box.left = Math.min(box.left, column);
    box.bottom = Math.max(box.bottom, row + 1);
    box.right = Math.max(box.right, column + 1);
  });
  return box.bottom ? box : { top: 0, left: 0, bottom: height, right: width };
}

function cut({ width, values }, { top, left, bottom, right }) {
  const found = new values.constructor((bottom - top) * (right - left));
  for (let row = top; row < bottom; row++) {
    const line = values.subarray(row * width + left, row * width + right);
    found.set(line, (row - top) * (right - left));
  }
  return { height: bottom - top, width: right - left, values: found };
}

// The mean width of the strokes, in pixels, by area and perimeter.
function strokeWidth({ height, width, values }) {
  let area = 0, perimeter = 0;
  values.forEach((x, i) => {
    area += x;
    if (i % width === width - 1 || i >= (height - 1) * width) return;
    perimeter += fround(Math.hypot(fround(values[i + width] - x), fround(values[i + 1] - x)));
  });
  const half = perimeter / 2;
  return (half - Math.sqrt(Math.max(0, half * half - 4 * area))) / 2;
}

function withUsualStrokes(fine) {
  const width = strokeWidth(fine);
  const wanted = Math.min(Math.max(width, DIGIT.thinnest), DIGIT.thickest);
  const radius = (wanted - width) / 2 / (1 - wanted / DIGIT.fine);
  if (radius > 0) return dilated(fine, radius);
  const negative = (picture) => mapped(picture, (x) => 1 - x);
  const narrowed = negative(dilated(negative(fine), Math.min(-radius, DIGIT.mostNarrowed)));
  return narrowed.values.some((x) => x >= 0.5) ? narrowed : fine;
}

// Where to put rows or columns of this mass, so that their centre is in the middle.
function placeOf(mass) {
  const total = mass.reduce((sum, x) => sum + x, 0);
  const centre = mass.reduce((sum, x, i) => sum + x * i, 0) / Math.max(total, 1e-6);
  const place = Math.floor(DIGIT.centre - centre + 0.5);
  return Math.min(Math.max(place, 0), DIGIT.side - mass.length);
}
