// Plain array steps of the preparation, as mlp_cli/data/pictures/windows.py has them.
// A picture is {height, width, values}: float32 values row by row. A mask has bytes, 0 or 1.

const { fround } = Math;

// Round as Python does: halves to the even number.
function rounded(x) {
  const below = Math.floor(x);
  if (x - below !== 0.5) return Math.round(x);
  return below % 2 ? below + 1 : below;
}

function mapped(picture, f) {
  const values = new picture.values.constructor(picture.values.length);
  for (let i = 0; i < values.length; i++) values[i] = f(picture.values[i], i);
  return { ...picture, values };
}

function transposed({ height, width, values }) {
  const turned = new values.constructor(values.length);
  for (let row = 0; row < height; row++) {
    for (let column = 0; column < width; column++) {
      turned[column * height + row] = values[row * width + column];
    }
  }
  return { height: width, width: height, values: turned };
}

// The means of windows of 2 · radius + 1 rows and columns, of the pixels that exist.
function boxMean(picture, radius) {
  for (let axis = 0; axis < 2; axis++) picture = transposed(meanOfRows(picture, radius));
  return picture;
}

function meanOfRows({ height, width, values }, radius) {
  const sums = new Float64Array((height + 1) * width);
  for (let i = 0; i < values.length; i++) sums[i + width] = sums[i] + values[i];
  const means = new Float32Array(values.length);
  for (let row = 0; row < height; row++) {
    const first = Math.max(row - radius, 0), last = Math.min(row + radius + 1, height);
    for (let column = 0; column < width; column++) {
      const sum = sums[last * width + column] - sums[first * width + column];
      means[row * width + column] = sum / (last - first);
    }
  }
  return { height, width, values: means };
}

// The minimum of the window maxima: it fills what is dark and narrower than a window.
function closing(picture, radius) {
  const negative = (x) => -x;
  return mapped(maximum(mapped(maximum(picture, radius), negative), radius), negative);
}

// The maximum of each pixel's window, by maxima of 2, 4, 8, … rows, then of columns.
function maximum(picture, radius) {
  for (let axis = 0; axis < 2; axis++) picture = transposed(maximumOfRows(picture, radius));
  return picture;
}

function maximumOfRows({ height, width, values }, radius) {
  let rows = height + 2 * radius;
  const found = new Float32Array(rows * width).fill(-Infinity);
  found.set(values, radius * width);
  const fold = (step) => {
    rows -= step;
    for (let i = 0, shifted = step * width; i < rows * width; i++, shifted++) {
      if (found[shifted] > found[i]) found[i] = found[shifted];
    }
  };
  let covered = 1;
  for (; 2 * covered <= 2 * radius + 1; covered *= 2) fold(covered);
  if (covered < 2 * radius + 1) fold(2 * radius + 1 - covered);
  return { height, width, values: found.slice(0, height * width) };
}

// The picture with its longer side reduced to `side` pixels, if it is longer.
function reduced(picture, side) {
  const { height, width } = picture;
  const longer = Math.max(height, width, side);
  const size = (n) => Math.max(1, rounded((n * side) / longer));
  return scaled(picture, size(height), size(width));
}

// The picture with that many rows and columns: shortened by the means of areas, lengthened by
// linear interpolation.
function scaled(picture, rows, columns) {
  return transposed(scaledRows(transposed(scaledRows(picture, rows)), columns));
}

function scaledRows({ height: n, width, values }, rows) {
  if (rows === n) return { height: n, width, values: Float32Array.from(values) };
  const scaledValues = new Float32Array(rows * width);
  const sums = new Float64Array(width);
  for (let row = 0; row < rows; row++) {
    const [first, weights] = rows <= n ? areaWeights(row, n, rows) : lineWeights(row, n, rows);
    sums.fill(0);
    for (let i = 0; i < weights.length; i++) {
      const weight = fround(weights[i]), start = (first + i) * width;
      for (let column = 0; column < width; column++) {
        sums[column] += weight * values[start + column];
      }
    }
    scaledValues.set(sums, row * width);
  }
  return { height: rows, width, values: scaledValues };
}

function areaWeights(row, n, rows) {
  const start = (row * n) / rows, end = ((row + 1) * n) / rows;
  const first = Math.floor(start), last = Math.min(n, Math.ceil(end));
  const edge = (i) => Math.min(Math.max(i, start), end);
  const weights = [];
  for (let i = first; i < last; i++) weights.push((edge(i + 1) - edge(i)) / (end - start));
  return [first, weights];
}

function lineWeights(row, n, rows) {
  const centre = Math.min(Math.max(((row + 0.5) * n) / rows - 0.5, 0), n - 1);
  if (n === 1) return [0, [1]];
  const first = Math.min(Math.floor(centre), n - 2);
  return [first, [1 - centre + first, centre - first]];
}

// Each pixel's maximum over a disc with a soft edge.
function dilated({ height, width, values }, radius) {
  const reach = Math.ceil(radius), found = values.slice();
  for (let down = -reach; down <= reach; down++) {
    for (let right = -reach; right <= reach; right++) {
      const weight = fround(Math.min(1, radius + 1 - Math.hypot(down, right)));
      if (weight <= 0 || (!down && !right)) continue;
      const top = Math.max(0, -down), bottom = Math.min(height, height - down);
      const left = Math.max(0, -right), end = Math.min(width, width - right);
      for (let row = top; row < bottom; row++) {
        for (let column = left; column < end; column++) {
          const there = fround(weight * values[(row + down) * width + column + right]);
          if (there > found[row * width + column]) found[row * width + column] = there;
        }
      }
    }
  }
  return { height, width, values: found };
}
