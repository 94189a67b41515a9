// A picture becomes an image for the network as `mlp predict` prepares it
// (mlp_cli/data/pictures/prepare.py).

const PREPARED = {
  side: 512, // of the reduced picture
  nearInk: 2, // pixels around the ink that belong to it
  alike: 0.25, // of the largest digit's area: so large is another digit
};

// Return {image, box, digits} of the largest digit of a picture: its box in the picture, and the
// number of digits there are. The image and the box are null if the picture is blank.
function prepareDigit(picture) {
  const ink = findInk(picture, PREPARED.side);
  const digits = ink ? findDigits(ink.components.parts, ink.kept) : [];
  const blank = { image: null, box: null, digits: 0 };
  if (!digits.length) return blank;
  const largest = digits.reduce((a, b) => (b.area > a.area ? b : a));
  const alike = digits.filter(({ area }) => area >= PREPARED.alike * largest.area).length;
  const { height, width } = ink.darkness;
  const own = cut(maskOf(ink.components, new Set(largest.parts)), largest);
  const near = boxMean({ ...own, values: Float32Array.from(own.values) }, PREPARED.nearInk).values;
  const darkness = mapped(cut(ink.darkness, largest), (x, i) => (near[i] > 0 ? x : 0));
  const down = (row) => rounded((picture.height / height) * row);
  const across = (column) => rounded((picture.width / width) * column);
  const box = {
    top: down(largest.top), left: across(largest.left),
    bottom: down(largest.bottom), right: across(largest.right),
  };
  const image = asMnist(darkness, ink.level);
  return image.values.some(Boolean) ? { image, box, digits: alike } : blank;
}

// Return the same for a network whose images are no digits of MNIST: the picture in the network's
// size, and nothing else.
function prepareWhole(picture, [height, width]) {
  const { values } = scaled(picture, height, width);
  const whole = Uint8Array.from(values, (x) => Math.floor(fround(x + 0.5)));
  return { image: { height, width, values: whole }, box: null, digits: 1 };
}
