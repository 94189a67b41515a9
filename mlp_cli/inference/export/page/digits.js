// Components of ink are joined to digits as mlp_cli/data/pictures/digits.py does. The order of
// reading is left out: of several digits, the page takes the largest.

const DIGITS = {
  largest: 1.4, // height and width of joined parts, in usual heights
  near: 0.4, // gap between parts, in usual heights
  tall: 0.6, // of the usual height: parts that may be digits of their own
  sharedColumns: 0.5, // of the narrower of two such parts, for one digit
  smallest: 0.4, highest: 2.5, // digits, in usual heights
  widest: 2.5, // of the height
  mostParts: 400, // so many, the largest, are looked at
};

const heightOf = ({ top, bottom }) => bottom - top;
const widthOf = ({ left, right }) => right - left;

// The digits: a box (bottom and right are exclusive), the area of ink, and the components of each.
function findDigits(components, kept) {
  const boxes = [...kept]
    .sort((a, b) => components[b].area - components[a].area || a - b)
    .slice(0, DIGITS.mostParts)
    .map((part) => ({ ...components[part], parts: [part] }));
  if (!boxes.length) return [];
  const usual = usualHeight(boxes);
  return joined(boxes, usual).filter((digit) => {
    const height = heightOf(digit), width = widthOf(digit), longer = Math.max(height, width);
    return DIGITS.smallest * usual <= longer && longer <= DIGITS.highest * usual
      && width <= DIGITS.widest * height;
  });
}

// The height at which half of the ink is reached, from the lowest component on.
function usualHeight(boxes) {
  const byHeight = [...boxes].sort((a, b) => heightOf(a) - heightOf(b));
  const half = boxes.reduce((sum, { area }) => sum + area, 0) / 2;
  let ink = 0;
  return heightOf(byHeight.find(({ area }) => (ink += area) >= half));
}

// Join parts of digits, the nearest first.
function joined(boxes, usual) {
  for (;;) {
    let best = null;
    for (let i = 0; i < boxes.length; i++) {
      for (let j = i + 1; j < boxes.length; j++) {
        const gap = gapOfParts(boxes[i], boxes[j], usual);
        if (gap !== null && (!best || gap < best.gap)) best = { gap, i, j };
      }
    }
    if (!best) return boxes;
    boxes[best.i] = both(boxes[best.i], boxes[best.j]);
    boxes.splice(best.j, 1);
  }
}

function both(a, b) {
  return {
    top: Math.min(a.top, b.top),
    left: Math.min(a.left, b.left),
    bottom: Math.max(a.bottom, b.bottom),
    right: Math.max(a.right, b.right),
    area: a.area + b.area,
    parts: [...a.parts, ...b.parts],
  };
}

// The gap between two boxes, or null if they cannot be parts of one digit.
function gapOfParts(a, b, usual) {
  const across = Math.max(a.left, b.left) - Math.min(a.right, b.right);
  const down = Math.max(a.top, b.top) - Math.min(a.bottom, b.bottom);
  const gap = Math.max(0, across, down), joint = both(a, b);
  if (gap > DIGITS.near * usual) return null;
  if (Math.max(heightOf(joint), widthOf(joint)) > DIGITS.largest * usual) return null;
  const tall = Math.min(heightOf(a), heightOf(b)) >= DIGITS.tall * usual;
  const narrower = Math.min(widthOf(a), widthOf(b));
  return tall && -across < DIGITS.sharedColumns * narrower ? null : gap;
}
