// What the page shows of an answer.

const MOST_BARS = 12; // of more classes, the most probable are shown
const CELL = 10; // pixels of a neuron's square, with its gap

const element = (id) => document.getElementById(id);
const percent = (share) => `${(100 * share).toFixed(2)} %`;

function made(name, className, text = "") {
  const found = document.createElement(name);
  found.className = className;
  found.textContent = text;
  return found;
}

// The name of a class, or its number if the classes have no names.
const nameOf = (label, names) => (names.length ? names[label] : String(label));

// What to know about an answer, as `mlp predict` says it.
function notesOf({ image, digits, probabilities }, { unsure, names }) {
  if (!image) return "blank, no ink was found";
  const notes = [], [first, second] = ranking(probabilities);
  if (probabilities[first] < unsure) {
    notes.push(`unsure, ${nameOf(second, names)} has ${percent(probabilities[second])}`);
  }
  if (digits > 1) notes.push(`the largest of ${digits} digits`);
  return notes.join("; ");
}

function ranking(probabilities) {
  return [...probabilities.keys()].sort((a, b) => probabilities[b] - probabilities[a] || a - b);
}

// Show an answer, or nothing of null. `data` has the names of the classes, and what is unsure.
function showAnswer(answer, data) {
  const probabilities = answer && answer.probabilities;
  const first = probabilities ? nameOf(ranking(probabilities)[0], data.names) : "?";
  const prediction = element("prediction");
  prediction.textContent = first;
  prediction.classList.toggle("empty", !probabilities);
  prediction.title = data.names.length && probabilities ? first : "";
  prediction.classList.toggle("long", first.length > 2);
  prediction.classList.toggle("name", data.names.length > 0 && first.length > 1);
  element("probability").textContent = probabilities ? percent(Math.max(...probabilities)) : "";
  element("notes").textContent = answer ? notesOf(answer, data) : "";
}

// Show a bar for each class.
function showBars(probabilities, classes, names) {
  const shares = probabilities || new Array(classes).fill(0);
  const order = classes > MOST_BARS ? ranking(shares).slice(0, MOST_BARS) : [...shares.keys()];
  const first = probabilities && ranking(shares)[0];
  element("bars").replaceChildren(...order.map((label) => {
    const bar = made("li", label === first ? "first" : ""), track = made("span", "track");
    const fill = made("span", "fill");
    fill.style.transform = `translateX(${100 * (shares[label] - 1)}%)`;
    track.append(fill);
    const value = probabilities ? percent(shares[label]) : "";
    const name = made("span", "label", nameOf(label, names));
    name.title = name.textContent;
    bar.append(name, track, made("span", "value", value));
    return bar;
  }));
}

// Show grey values as the network saw them, ink bright.
function showImage(canvas, { height, width, values }) {
  [canvas.height, canvas.width] = [height, width];
  const data = new ImageData(width, height);
  values.forEach((grey, i) => data.data.set([grey, grey, grey, 255], 4 * i));
  canvas.getContext("2d").putImageData(data, 0, 0);
}

// Make a figure for each hidden layer; return their canvases.
function makeLayers(sizes, activation) {
  return sizes.slice(1, -1).map((neurons, index) => {
    const figure = made("figure", "layer"), canvas = made("canvas", "");
    const caption = made("figcaption", "", `Hidden layer ${index + 1} `);
    caption.append(made("span", "", `${neurons} neurons, ${activation}`));
    canvas.setAttribute("role", "img");
    canvas.setAttribute("aria-label", `Activations of hidden layer ${index + 1}`);
    figure.append(caption, canvas);
    element("flow").append(figure);
    return canvas;
  });
}

const columnsOf = (neurons) => Math.ceil(Math.sqrt(2 * neurons));

// Show the activations of a layer, a square for each neuron.
function showLayer(canvas, a) {
  showSquares(canvas, a, columnsOf(a.length), CELL, CELL - 1);
}

// Show a neuron's weights to the pixels, in the place of the image.
function showWeights(canvas, { W, inputs }, neuron, width) {
  showSquares(canvas, W.subarray(neuron * inputs, (neuron + 1) * inputs), width, 1, 1);
}

// Show numbers as squares: positive ones in one colour, negative ones in another.
function showSquares(canvas, values, columns, cell, size) {
  const style = getComputedStyle(document.documentElement);
  canvas.width = cell * columns;
  canvas.height = cell * Math.ceil(values.length / columns);
  const context = canvas.getContext("2d");
  const largest = values.reduce((most, x) => Math.max(most, Math.abs(x)), 1e-6);
  values.forEach((x, i) => {
    context.fillStyle = style.getPropertyValue(x < 0 ? "--negative" : "--accent");
    context.globalAlpha = Math.abs(x) / largest;
    context.fillRect(cell * (i % columns), cell * Math.floor(i / columns), size, size);
  });
}

// The neuron of a layer's canvas at which a pointer is, or -1.
function neuronAt(canvas, neurons, { clientX, clientY }) {
  const { left, top, width, height } = canvas.getBoundingClientRect();
  const columns = columnsOf(neurons), rows = Math.ceil(neurons / columns);
  const column = Math.floor(((clientX - left) / width) * columns);
  const row = Math.floor(((clientY - top) / height) * rows);
  const neuron = row * columns + column;
  return column >= 0 && column < columns && neuron < neurons ? neuron : -1;
}

function showAbout(about) {
  for (const [name, text] of about) {
    element("about").append(made("dt", "", name), made("dd", "", text));
  }
}

// Frame the box of a digit in a picture that lies on the paper; without a box, nothing.
function showFrame(box, place, paper) {
  const frame = element("frame");
  frame.hidden = !box;
  if (!box) return;
  const across = (x) => `${(100 * (place.left + place.scale * x)) / paper.width}%`;
  const down = (y) => `${(100 * (place.top + place.scale * y)) / paper.height}%`;
  frame.style.left = across(box.left);
  frame.style.top = down(box.top);
  frame.style.width = `${(100 * place.scale * (box.right - box.left)) / paper.width}%`;
  frame.style.height = `${(100 * place.scale * (box.bottom - box.top)) / paper.height}%`;
}
