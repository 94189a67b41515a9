// The page: from what is drawn to what is shown.

// Return {image, box, digits, hidden, probabilities} of a picture; see `mlp predict`.
function answerOf(network, picture) {
  const seen = network.preparation === "mnist"
    ? prepareDigit(picture)
    : prepareWhole(picture, network.imageShape);
  return seen.image ? { ...seen, ...forward(network, seen.image.values) } : seen;
}

async function main() {
  const data = JSON.parse(element("data").textContent);
  const network = { ...data, layers: await unpackLayers(data), activate: activationOf(data) };
  const classes = data.sizes.at(-1), [height, width] = data.imageShape;
  const black = { height, width, values: new Uint8Array(height * width) };
  const canvases = makeLayers(data.sizes, data.activation);
  const [kind, colours] = data.preparation === "mnist"
    ? ["sheet", ["#ffffff", "#101418"]]
    : ["board", ["#000000", "#ffffff"]]; // as the images of most data
  let waiting = false, answer = null, problem = "";

  const show = () => {
    const { items, pen, canvas } = paper;
    answer = items.length ? answerOf(network, paper.picture) : null;
    showAnswer(answer, data);
    if (problem) element("notes").textContent = problem;
    showBars(answer && answer.probabilities, classes, data.names);
    element("caption").textContent = "What it saw";
    element("size").textContent = `${width} × ${height}`;
    element("seen").className = "";
    showImage(element("seen"), (answer && answer.image) || black);
    canvases.forEach((layer, i) => {
      const hidden = answer && answer.hidden;
      showLayer(layer, hidden ? hidden[i] : new Float32Array(data.sizes[i + 1]));
    });
    const alone = items.length === 1 && items[0].bitmap;
    showFrame(alone ? answer.box : null, alone && paper.placeOf(items[0].bitmap), paper);
    const hasPicture = items.some(({ bitmap }) => bitmap);
    element("drop").className = `paper ${hasPicture ? "photograph" : kind}`;
    element("invitation").hidden = items.length > 0;
    for (const id of ["undo", "clear", "save"]) element(id).disabled = !items.length;
    element("pen").style.left = `${(100 * pen.x) / paper.width}%`;
    element("pen").style.top = `${(100 * pen.y) / paper.height}%`;
    element("pen").classList.toggle("down", pen.down);
  };
  const refresh = () => {
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(() => {
      waiting = false;
      show();
    });
  };
  const changed = () => {
    problem = "";
    refresh();
  };

  const paper = new Paper(element("paper"), data.imageShape, colours, changed);
  element("drop").style.maxWidth = `${(80 * width) / height}vh`; // so that all of it can be seen
  element("network").textContent = data.summary;
  element("neuron").hidden = !canvases.length;
  element("bars").classList.toggle("named", data.names.length > 0);
  showAbout(data.about);
  show();
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", show);

  const take = async (files) => {
    if (!files.length) return;
    try {
      const picture = await readPicture(files[0]);
      paper.clear();
      paper.add(picture);
    } catch (error) {
      problem = error.message;
      refresh();
    }
  };
  element("undo").addEventListener("click", () => paper.undo());
  element("clear").addEventListener("click", () => paper.clear());
  element("save").addEventListener("click", () => paper.save());
  element("open").addEventListener("click", () => element("file").click());
  element("file").addEventListener("change", async ({ target }) => {
    await take([...target.files]);
    target.value = "";
  });
  document.addEventListener("paste", (event) => take([...event.clipboardData.files]));
  document.addEventListener("keydown", (event) => {
    if ((event.ctrlKey || event.metaKey) && event.key === "z") paper.undo();
    if (event.key === "Escape") paper.clear();
  });
  document.addEventListener("dragover", (event) => {
    event.preventDefault();
    element("drop").classList.add("over");
  });
  document.addEventListener("dragleave", () => element("drop").classList.remove("over"));
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    element("drop").classList.remove("over");
    take([...event.dataTransfer.files]);
  });
  canvases.forEach((layer, i) => {
    layer.addEventListener("pointermove", (event) => {
      const neuron = neuronAt(layer, data.sizes[i + 1], event);
      if (neuron < 0) return;
      const value = answer && answer.hidden ? answer.hidden[i][neuron].toFixed(3) : "–";
      const name = `Hidden layer ${i + 1}, neuron ${neuron}`;
      element("neuron").textContent = `${name}: activation ${value}`;
      if (i > 0) return;
      element("caption").textContent = `Weights of neuron ${neuron}`;
      element("size").textContent = "";
      element("seen").className = "weights";
      showWeights(element("seen"), network.layers[0], neuron, width);
    });
    layer.addEventListener("pointerleave", refresh);
  });
}

main();
