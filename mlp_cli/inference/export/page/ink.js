// The ink of a picture: how dark it is against the paper around it, and which pixels it is. The
// steps are those of mlp_cli/data/pictures/ink.py, which explains them.

const INK = {
  lowestContrast: 16, // of 255
  windows: [0.05, 0.09, 0.15], // half of a window's side, of the longer side of the picture
  narrowest: 5, // pixels; only the widest window may be narrower
  clearSkewness: 0.5,
  lifted: 20, // added to the paper
  noise: 4, clearOfNoise: 6, // distances of the least dark ink, and of the level of the ink
  leastLevel: 0.12, // of the ink
  rim: 3, sharp: 0.2, sharpRim: 0.75, // pixels; a change in them; share of the rim
  ruledLevel: 0.35, // of the level of the ink
  inkLevel: 0.5,
  speck: 0.02, // of the largest component's area
  lowest: 0.06, smallest: 0.01, // a digit within a table: of the longer side; of its area
  paler: 0.25, // of the level of what touches the edge: ink elsewhere has at least this level
  leastPixels: 5, // rows or columns of the largest component
  leastSize: 0.025, // of the largest component, of the longer side
  along: 0.8, thin: 0.15, // of an edge or of its own length; of the picture: strips of a table
  asDark: 0.7, torn: 0.05, larger: 2, // of the level; of the pixels around the ink; of the ink
};

// Return {darkness, level, components, kept}, or null if the picture is blank.
function findInk(picture, side) {
  let sharp = reduced(picture, side);
  let low = Infinity, high = -Infinity;
  for (const x of sharp.values) [low, high] = [Math.min(low, x), Math.max(high, x)];
  if (high - low < INK.lowestContrast) return null;
  const stretch = fround(255 / (high - low));
  sharp = mapped(sharp, (x) => fround(x - low) * stretch);
  const longer = Math.max(sharp.height, sharp.width);
  let smooth = boxMean(sharp, Math.min(2, Math.floor((longer + 128) / 256)));
  const all = INK.windows.map((share) => Math.max(1, rounded(share * longer)));
  const widest = all[all.length - 1];
  if (isBright(smooth, widest)) {
    [sharp, smooth] = [sharp, smooth].map((bright) => mapped(bright, (x) => 255 - x));
  }
  let windows = all.filter((window) => window >= INK.narrowest);
  if (!windows.length) windows = [widest];
  const papers = new Map();
  const darkness = (of, window) => {
    if (!papers.has(window)) papers.set(window, closing(smooth, window).values);
    const paper = papers.get(window);
    return mapped(of, (x, i) => fround(paper[i] - x) / fround(paper[i] + INK.lifted));
  };
  const byWidest = darkness(smooth, widest);
  let ink = null;
  for (const window of windows) {
    const smoothly = darkness(smooth, window), lines = ruling(smoothly);
    const found = separated(smoothly, lines);
    if (!found) continue;
    const dark = mapped(darkness(sharp, window), (x, i) => (lines.values[i] ? 0 : x));
    ink = { darkness: dark, ...found };
    if (isWhole(maskOf(ink.components, ink.kept), byWidest, lines)) break;
  }
  return ink;
}

function ruling(darkness) {
  const counted = histogram(darkness.values), ink = above(darkness, firstThreshold(counted));
  const level = meanWhere(darkness.values, (i) => ink.values[i]); // NaN without ink
  const least = Math.max(INK.ruledLevel * level, noiseLimit(counted, INK.noise));
  return ruledLines(above(darkness, level ? least : Infinity));
}

// A threshold between paper and ink before the level of the ink is known.
function firstThreshold(counted) {
  return Math.max(otsu(counted), noiseLimit(counted, INK.noise));
}

function above({ height, width, values }, threshold) {
  const least = fround(threshold), mask = new Uint8Array(values.length);
  for (let i = 0; i < values.length; i++) mask[i] = values[i] > least ? 1 : 0;
  return { height, width, values: mask };
}

function meanWhere(values, chosen) {
  let sum = 0, n = 0;
  for (let i = 0; i < values.length; i++) {
    if (!chosen(i)) continue;
    sum += values[i];
    n++;
  }
  return fround(sum / n);
}

// The level, the components and the kept components of the ink, or null without ink. What touches
// the edge of the picture is no digit if there is ink elsewhere, also paler ink.
function separated(darkness, lines) {
  const within = separatedBy(darkness, lines, inside);
  if (within) return within;
  const threshold = firstThreshold(histogram(darkness.values));
  const found = components(without(above(darkness, threshold), lines));
  const atEdges = new Set([...found.parts.keys()].filter((i) => !isWithin(found, found.parts[i])));
  if (atEdges.size) {
    const table = maskOf(found, atEdges);
    const near = boxMean({ ...table, values: Float32Array.from(table.values) }, INK.rim).values;
    const rest = mapped(darkness, (x, i) => (near[i] > 0 ? 0 : x));
    const paler = separatedBy(rest, lines, inside);
    const level = meanWhere(darkness.values, (i) => table.values[i]);
    if (paler && paler.level >= INK.paler * level) return paler;
  }
  return separatedBy(darkness, lines, atEdge);
}

function without(mask, lines) {
  return mapped(mask, (ink, i) => (lines.values[i] ? 0 : ink));
}

// The same with only the components that are chosen, none of which is a speck.
function separatedBy(darkness, lines, choose) {
  const { values } = darkness, counted = histogram(values);
  const noise = noiseLimit(counted, INK.noise);
  let threshold = firstThreshold(counted), level, found, kept;
  const dark = above(darkness, threshold).values;
  if (!(meanWhere(values, (i) => dark[i]) >= INK.leastLevel)) return null; // NaN if nothing is dark
  const change = changeWithinRim(darkness);
  for (let time = 0; time < 2; time++) {
    found = components(without(above(darkness, threshold), lines));
    const { label, parts } = found, sharp = sharpParts(values, change, found);
    const chosen = choose(found).filter((part) => sharp[part]);
    const largest = largestArea(chosen.map((part) => parts[part]));
    kept = new Set(chosen.filter((part) => parts[part].area >= INK.speck * largest));
    if (!kept.size) return null;
    const isKept = parts.map((_, part) => kept.has(part));
    level = meanWhere(values, (i) => label[i] >= 0 && isKept[label[i]]);
    threshold = Math.max(INK.inkLevel * level, noise);
  }
  const longest = [...kept].reduce((most, part) => {
    const { top, left, bottom, right } = found.parts[part];
    return Math.max(most, bottom - top, right - left);
  }, 0);
  const least = Math.max(INK.leastLevel, noiseLimit(counted, INK.clearOfNoise));
  const longer = Math.max(darkness.height, darkness.width);
  const tooSmall = longest < Math.max(INK.leastPixels, INK.leastSize * longer);
  return level < least || tooSmall ? null : { level, components: found, kept };
}

function largestArea(parts) {
  return parts.reduce((largest, { area }) => Math.max(largest, area), 0);
}

// Whether a component does not touch the edge.
function isWithin({ height, width }, { top, left, bottom, right }) {
  return top > 0 && left > 0 && bottom < height && right < width;
}

// The components that do not touch the edge, unless all of them are low.
function inside(found) {
  const { parts } = found, within = parts.map((part) => isWithin(found, part));
  const lowest = INK.lowest * Math.max(found.height, found.width);
  const high = ({ top, bottom }) => bottom - top >= lowest;
  const largest = largestArea(parts.filter((part, i) => within[i] && high(part)));
  const atEdges = largestArea(parts.filter((_, i) => !within[i]));
  return largest > INK.smallest * atEdges ? [...parts.keys()].filter((i) => within[i]) : [];
}

// All components but strips of a table: along most of an edge, or thin along a part of it.
function atEdge(found) {
  const { height, width, parts } = found, contacts = contact(found);
  return [...parts.keys()].filter((part) => {
    const { top, left, bottom, right } = parts[part], high = bottom - top, wide = right - left;
    return contacts[part].every((pixels, edge) => {
      const [along, deep, side, depth] = edge < 2
        ? [wide, high, width, height]
        : [high, wide, height, width]; // left and right
      const thin = deep <= INK.thin * depth;
      return pixels < INK.along * side && (pixels < INK.along * along || !thin);
    });
  });
}

// How much darkness changes within a few pixels around each pixel.
function changeWithinRim(darkness) {
  const highest = maximum(darkness, INK.rim).values;
  const lowest = maximum(mapped(darkness, (x) => -x), INK.rim).values; // of the negative
  return highest.map((x, i) => x + lowest[i]);
}

// Which components have edges: along their rims, darkness changes within few pixels.
function sharpParts(darkness, change, { height, width, label, parts }) {
  const ink = new Float32Array(label.length), inner = new Float64Array(parts.length);
  for (let i = 0; i < label.length; i++) {
    if (label[i] < 0) continue;
    ink[i] = 1;
    inner[label[i]] += darkness[i];
  }
  const share = boxMean({ height, width, values: ink }, 1).values;
  const least = parts.map(({ area }, part) => INK.sharp * (inner[part] / area));
  const rim = new Float64Array(parts.length), sharp = new Float64Array(parts.length);
  for (let i = 0; i < label.length; i++) {
    const part = label[i];
    if (part < 0 || share[i] >= 1) continue;
    rim[part]++;
    if (change[i] > least[part]) sharp[part]++;
  }
  return parts.map((_, part) => sharp[part] >= INK.sharpRim * rim[part]);
}

// Whether the ink ends at edges, so that the pixels around it are less dark, and no larger area is as
// dark as it is.
function isWhole(mask, widest, lines) {
  const ink = { ...mask, values: Float32Array.from(mask.values) };
  const asDark = above(widest, INK.asDark * meanWhere(widest.values, (i) => mask.values[i]));
  const [far, near] = [4, 2].map((reach) => boxMean(ink, reach).values);
  let around = 0, dark = 0;
  for (let i = 0; i < far.length; i++) {
    if (far[i] <= 0 || near[i] > 0) continue;
    around++;
    dark += asDark.values[i];
  }
  if (dark > INK.torn * around) return false;
  const found = components(without(asDark, lines));
  const within = found.parts.filter((part) => isWithin(found, part));
  const area = within.reduce((sum, part) => sum + part.area, 0);
  return area <= INK.larger * mask.values.reduce((sum, pixel) => sum + pixel, 0);
}

// Whether the ink is brighter than the paper.
function isBright(picture, radius) {
  const { height, width, values } = picture;
  const local = boxMean(picture, radius).values;
  const n = values.length;
  let squares = 0, cubes = 0;
  for (let i = 0; i < n; i++) {
    const deviation = fround(values[i] - local[i]), square = fround(deviation * deviation);
    squares += square;
    cubes += fround(square * deviation);
  }
  const skewness = cubes / n / Math.max(Math.sqrt(squares / n), 1e-6) ** 3;
  if (Math.abs(skewness) >= INK.clearSkewness) return skewness > 0;
  const edge = [...values.subarray(0, width), ...values.subarray((height - 1) * width)];
  for (let row = 0; row < height; row++) {
    edge.push(values[row * width], values[row * width + width - 1]);
  }
  return meanWhere(edge, () => true) < meanWhere(values, () => true);
}

// The counts of 256 bins from 0 to the largest value, and the width of a bin.
function histogram(values) {
  let top = 1e-6;
  for (let i = 0; i < values.length; i++) top = Math.max(top, values[i]);
  const scale = fround(256 / top), counts = new Float64Array(256);
  for (let i = 0; i < values.length; i++) {
    counts[Math.min(Math.floor(fround(Math.max(values[i], 0) * scale)), 255)]++;
  }
  return { counts, binWidth: top / 256, n: values.length };
}

// Otsu's threshold, which separates values into the two classes with the least variance.
function otsu({ counts, binWidth, n }) {
  const total = counts.reduce((sum, count, i) => sum + count * i, 0);
  let below = 0, sum = 0, best = 0, most = 0;
  counts.forEach((count, i) => {
    below += count;
    sum += count * i;
    if (!below || below === n) return;
    const between = (total * below - n * sum) ** 2 / (below * (n - below));
    if (between > most) [best, most] = [i, between];
  });
  return (best + 1) * binWidth;
}

// How far the noise of the paper may go, by the lower quarter of the values.
function noiseLimit({ counts, binWidth, n }, distances) {
  const binOf = (share) => {
    let bin = 0;
    for (let sum = counts[0]; sum / n < share; sum += counts[bin]) bin++;
    return bin;
  };
  const [twentieth, quarter] = [binOf(0.05), binOf(0.25)];
  return (quarter + distances * (quarter - twentieth)) * binWidth;
}
