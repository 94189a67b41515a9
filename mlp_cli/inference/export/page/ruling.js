// Ruled lines of paper, found and taken away as mlp_cli/data/pictures/ruling.py does.

const RULING = {
  steepest: 0.2, // rows for each column
  slopes: 121,
  covered: 0.6, // share of the columns that each of several parallel lines crosses
  coveredAlone: 0.85, // the same for a line without a parallel one
  thickest: 1 / 64, // of the picture's longer side, and a pixel for blur
  smallest: 56, // pixels of the longer side
  fullest: 0.35, // share of the picture that ink and lines cover
  maxRounds: 6, // lines of different slopes
};

// The mask of the pixels that belong to ruled lines, across or down.
function ruledLines(ink) {
  const share = ink.values.reduce((sum, pixel) => sum + pixel, 0) / ink.values.length;
  if (Math.max(ink.height, ink.width) < RULING.smallest || share > RULING.fullest) {
    return mapped(ink, () => 0);
  }
  const [across, onAcross] = linesAcross(ink);
  const [down, onDown] = linesAcross(transposed(ink)).map(transposed);
  const lines = (i) => (
    across.values[i] | down.values[i] | (onAcross.values[i] & onDown.values[i])
  );
  return mapped(ink, (_, i) => lines(i));
}

// The pixels of lines across, without those of strokes that cross a line, and with them.
function linesAcross({ height, width, values: ink }) {
  const rest = ink.slice(), lines = new Uint8Array(ink.length), on = new Uint8Array(ink.length);
  const [top, bottom] = reachOfInk(height, width, ink);
  const thickest = 1 + Math.floor(RULING.thickest * Math.max(height, width));
  for (let round = 0; round < RULING.maxRounds; round++) {
    const { counts, most, reach, shift } = fullestSlope(height, width, rest);
    const found = [...counts.keys()].filter((i) => counts[i] >= RULING.covered * width);
    const spread = found.length ? found[found.length - 1] - found[0] : 0;
    const alone = spread <= 2 * thickest;
    if (!found.length || (alone && most < RULING.coveredAlone * width)) break;
    for (const index of found) {
      const at = [];
      for (let column = 0; column < width; column++) {
        const row = index - reach + shift[column], pixel = row * width + column;
        if (row >= 0 && row < height && rest[pixel]) at.push(pixel);
      }
      for (const pixel of at) rest[pixel] = 0;
      const thin = at.filter((pixel) => bottom[pixel] - top[pixel] <= thickest);
      if (2 * thin.length <= at.length) continue;
      for (const pixel of at) on[pixel] = 1;
      for (const pixel of thin) {
        for (let row = top[pixel]; row < bottom[pixel]; row++) {
          lines[row * width + (pixel % width)] = 1;
        }
      }
    }
  }
  return [{ height, width, values: lines }, { height, width, values: on }];
}

// For each pixel of ink, where the ink above and below it in its column begins and ends.
function reachOfInk(height, width, ink) {
  const top = new Int32Array(ink.length), bottom = new Int32Array(ink.length).fill(height);
  for (let i = 0; i < ink.length; i++) {
    const above = i >= width ? top[i - width] : 0;
    top[i] = ink[i] ? above : Math.floor(i / width) + 1;
  }
  for (let i = ink.length - 1; i >= 0; i--) {
    if (!ink[i]) bottom[i] = Math.floor(i / width);
    else if (i + width < ink.length) bottom[i] = bottom[i + width];
  }
  return [top, bottom];
}

// The ink along the lines of the slope that has the line with the most ink. The line of count i is
// in row i − reach + shift of each column.
function fullestSlope(height, width, ink) {
  const rows = [], columns = [];
  for (let i = 0; i < ink.length; i++) {
    if (!ink[i]) continue;
    rows.push(Math.floor(i / width));
    columns.push(i % width);
  }
  let best = { counts: [0], most: 0, reach: 0, shift: new Int32Array(width) };
  for (let step = 0; step < RULING.slopes; step++) {
    const slope = RULING.steepest * ((2 * step) / (RULING.slopes - 1) - 1);
    const shift = Int32Array.from({ length: width }, (_, column) => (
      Math.floor(slope * (column - width / 2) + 0.5)
    ));
    const reach = shift.reduce((largest, n) => Math.max(largest, Math.abs(n)), 0);
    const counts = new Int32Array(height + 2 * reach);
    for (let i = 0; i < rows.length; i++) counts[rows[i] - shift[columns[i]] + reach]++;
    const most = counts.reduce((largest, n) => Math.max(largest, n), 0);
    if (most > best.most) best = { counts, most, reach, shift };
  }
  return best;
}
