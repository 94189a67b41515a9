// Connected components of a mask: pixels of ink that touch, also at their corners. As
// mlp_cli/data/pictures/components.py finds them, numbered by their first pixels row by row.

function components({ height, width, values: mask }) {
  const label = new Int32Array(height * width).fill(-1);
  const parts = [], waiting = [];
  for (let start = 0; start < mask.length; start++) {
    if (!mask[start] || label[start] >= 0) continue;
    const part = { top: height, left: width, bottom: 0, right: 0, area: 0 };
    label[start] = parts.length;
    waiting.push(start);
    while (waiting.length) {
      const pixel = waiting.pop(), row = Math.floor(pixel / width), column = pixel % width;
      part.area++;
      part.top = Math.min(part.top, row);
      part.left = Math.min(part.left, column);
      part.bottom = Math.max(part.bottom, row + 1);
      part.right = Math.max(part.right, column + 1);
      const rightmost = Math.min(column + 1, width - 1), lowest = Math.min(row + 1, height - 1);
      for (let y = Math.max(row - 1, 0); y <= lowest; y++) {
        for (let x = Math.max(column - 1, 0); x <= rightmost; x++) {
          const near = y * width + x;
          if (!mask[near] || label[near] >= 0) continue;
          label[near] = parts.length;
          waiting.push(near);
        }
      }
    }
    parts.push(part);
  }
  return { height, width, label, parts };
}

// The mask of the components that `chosen` (a Set of their numbers) holds.
function maskOf({ height, width, label, parts }, chosen) {
  const isChosen = parts.map((_, part) => chosen.has(part)), values = new Uint8Array(label.length);
  for (let i = 0; i < label.length; i++) values[i] = label[i] >= 0 && isChosen[label[i]] ? 1 : 0;
  return { height, width, values };
}

// How many pixels of each component lie on the edges of the picture: top, bottom, left and right.
function contact({ height, width, label, parts }) {
  const counts = parts.map(() => [0, 0, 0, 0]);
  const count = (row, column, edge) => {
    const part = label[row * width + column];
    if (part >= 0) counts[part][edge]++;
  };
  for (let column = 0; column < width; column++) {
    count(0, column, 0);
    count(height - 1, column, 1);
  }
  for (let row = 0; row < height; row++) {
    count(row, 0, 2);
    count(row, width - 1, 3);
  }
  return counts;
}
