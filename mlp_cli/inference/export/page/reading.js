// Files become grey pictures as `mlp predict` reads them (mlp_cli/data/pictures/reading.py). The
// browser decodes them and turns photographs upright.

const MOST_PIXELS = 50_000_000;
const STRIP = 1 << 22; // pixels that are looked at together, so that a large picture needs no more

// Return {bitmap, picture} of a file; an error says what is wrong with it.
async function readPicture(file) {
  let bitmap;
  try {
    const asItIs = { colorSpaceConversion: "none", premultiplyAlpha: "none" };
    bitmap = await createImageBitmap(file, asItIs);
  } catch {
    throw new Error(`${file.name}: this browser cannot read it as a picture.`);
  }
  if (bitmap.width * bitmap.height > MOST_PIXELS) {
    throw new Error(`${file.name}: ${bitmap.width} × ${bitmap.height} pixels are too many.`);
  }
  return { bitmap, picture: greyOf(bitmap) };
}

function greyOf(bitmap) {
  const { height, width } = bitmap;
  const values = new Uint8Array(height * width), alpha = new Uint8Array(height * width);
  const rows = Math.max(1, Math.floor(STRIP / width));
  const strip = new OffscreenCanvas(width, Math.min(rows, height));
  const context = strip.getContext("2d", { willReadFrequently: true });
  for (let top = 0; top < height; top += rows) {
    context.clearRect(0, 0, width, strip.height);
    context.drawImage(bitmap, 0, -top);
    const { data } = context.getImageData(0, 0, width, Math.min(rows, height - top));
    for (let i = 0, pixel = top * width; i < data.length; i += 4, pixel++) {
      values[pixel] = greyValue(data[i], data[i + 1], data[i + 2]);
      alpha[pixel] = data[i + 3];
    }
  }
  const opaque = alpha.every((share) => share === 255);
  return { height, width, values: opaque ? values : onPaper(values, alpha) };
}

// 0.299 red + 0.587 green + 0.114 blue, rounded as Pillow does it.
function greyValue(red, green, blue) {
  return (19595 * red + 38470 * green + 7471 * blue + 0x8000) >> 16;
}

// What a picture with transparent parts looks like on paper that suits it.
function onPaper(values, alpha) {
  let shares = 0, ink = 0;
  values.forEach((grey, i) => {
    shares += alpha[i] / 255;
    ink += (grey * alpha[i]) / 255;
  });
  if (!shares) return new Float32Array(values.length).fill(255);
  const mean = ink / shares, mostlyOpaque = shares / values.length >= 0.5;
  const paper = mostlyOpaque ? mean : mean >= 128 ? 0 : 255;
  return Float32Array.from(values, (grey, i) => (
    (grey * alpha[i]) / 255 + paper * (1 - alpha[i] / 255)
  ));
}
