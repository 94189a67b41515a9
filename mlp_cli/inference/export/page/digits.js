// Components of ink are joined to digits as mlp_cli/data/pictures/digits.py does. The order of
// reading is left out: of several digits, the page takes the largest.

const DIGITS = {
  largest: 1.4, // height and width of joined parts, in usual sizes
  largestAlone: 2.2, slender: 0.4, // the same, if they are not narrower for their height
  near: 0.4, // gap between parts, in usual sizes
  tall: 0.6, // of the usual size: parts that may be digits of their own
  sharedColumns: 0.5, // of the narrower of two such parts, for one digit
  smallest: 0.4, longest: 2.5, // digits, in usual sizes
  widest: 2.5, // of the height
  mostParts: 300, // so many, the largest, are looked at
};

const heightOf = ({ top, bottom }) => bottom - top;
const widthOf = ({ left, right }) => right - left;
const sizeOf = (box) => Math.max(heightOf(box), widthOf(box));

// The digits: a box (bottom and right are exclusive), the area of ink, and the components of each.
function findDigits(components, kept) {
  const boxes = [...kept]
    .sort((a, b) => components[b].area - components[a].area || a - b)
    .slice(0, DIGITS.mostParts)
    .map((part) => ({ ...components[part], parts: [part] }));
  if (!boxes.length) return [];
  const usual = usualSize(boxes);
  const digits = joined(boxes, usual).filter((digit) => (
    DIGITS.smallest * usual <= sizeOf(digit) && sizeOf(digit) <= DIGITS.longest * usual
  ));
  const upright = digits.filter((digit) => widthOf(digit) <= DIGITS.widest * heightOf(digit));
  return upright.length ? upright : digits;
}

// The size (the longer side) at which half of the ink is reached, from the smallest component on.
function usualSize(boxes) {
  const bySize = [...boxes].sort((a, b) => sizeOf(a) - sizeOf(b));
  const half = boxes.reduce((sum, { area }) => sum + area, 0) / 2;
  let ink = 0;
  return sizeOf(bySize.find(({ area }) => (ink += area) >= half));
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
  const gap = Math.max(0, across, down);
  if (gap > DIGITS.near * usual) return null;
  const joint = both(a, b);
  const free = widthOf(joint) >= DIGITS.slender * heightOf(joint);
  const largest = free ? DIGITS.largestAlone : DIGITS.largest;
  if (sizeOf(joint) > largest * usual) return null;
  const tall = Math.min(heightOf(a), heightOf(b)) >= DIGITS.tall * usual;
  const narrower = Math.min(widthOf(a), widthOf(b));
  return tall && -across < DIGITS.sharedColumns * narrower ? null : gap;
}
