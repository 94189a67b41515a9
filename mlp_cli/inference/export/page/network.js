// The network: weights that are unpacked once, and a forward pass with all activations.

// Return the layers {W, b, inputs, outputs} of a network from its description (see page.py).
async function unpackLayers({ sizes, bits, packed }) {
  const bytes = Uint8Array.from(atob(packed), (character) => character.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  const buffer = await new Response(stream).arrayBuffer();
  const outputs = sizes.slice(1);
  const rows = outputs.reduce((sum, m) => sum + m, 0);
  const weights = outputs.reduce((sum, m, layer) => sum + m * sizes[layer], 0);
  const scales = new Float32Array(buffer, 0, rows);
  const biases = new Float32Array(buffer, 4 * rows, rows);
  const low = new Uint8Array(buffer, 8 * rows, weights);
  const high = bits > 8 ? new Int8Array(buffer, 8 * rows + weights, weights) : null;
  let row = 0, index = 0;
  return outputs.map((m, layer) => {
    const n = sizes[layer], W = new Float32Array(m * n), b = biases.slice(row, row + m);
    for (let i = 0; i < m * n; i++, index++) {
      const whole = high ? 256 * high[index] + low[index] : (low[index] << 24) >> 24;
      W[i] = whole * scales[row + Math.floor(i / n)];
    }
    row += m;
    return { W, b, inputs: n, outputs: m };
  });
}

// Return the function of the hidden neurons, as mlp_cli/nn/activations.py defines them.
function activationOf({ activation, negativeSlope, mills }) {
  const sigmoid = (z) => 0.5 + 0.5 * Math.tanh(0.5 * z);
  const functions = {
    relu: (z) => Math.max(z, 0),
    leaky_relu: (z) => Math.max(z, negativeSlope * z),
    elu: (z) => Math.max(z, Math.expm1(Math.min(z, 0))),
    softplus: (z) => Math.max(z, 0) + Math.log1p(Math.exp(-Math.abs(z))),
    silu: (z) => z * sigmoid(z),
    gelu: (z) => Math.max(z, 0) - Math.abs(z) * normalTail(Math.abs(z), mills),
    tanh: Math.tanh,
    sigmoid,
    identity: (z) => z,
  };
  return functions[activation];
}

// Φ(−w) for w ≥ 0 by Mills' ratio, with the polynomial of mlp_cli/nn/normal.py.
function normalTail(w, { coefficients, centre }) {
  const t = (w - centre) / (w + centre);
  const ratio = (1 - t) * coefficients.reduce((sum, coefficient) => sum * t + coefficient, 0);
  return (ratio * Math.exp((-w * w) / 2)) / Math.sqrt(2 * Math.PI);
}

function weightedInputs({ W, b, inputs, outputs }, a) {
  const z = new Float32Array(outputs);
  for (let row = 0; row < outputs; row++) {
    let sum = b[row];
    const start = row * inputs;
    for (let i = 0; i < inputs; i++) sum += W[start + i] * a[i];
    z[row] = sum;
  }
  return z;
}

// Probabilities of the classes, as mlp_cli/nn/losses.py defines them.
function probabilitiesOf(z, loss) {
  const log = loss === "mse"
    ? z.map((x) => Math.min(x, 0) - Math.log1p(Math.exp(-Math.abs(x)))) // log σ(z)
    : z;
  const largest = log.reduce((a, b) => Math.max(a, b), -Infinity);
  const shares = Array.from(log, (x) => Math.exp(x - largest));
  const sum = shares.reduce((a, b) => a + b, 0);
  return shares.map((share) => share / sum);
}

// Return {hidden, probabilities} for pixels from 0 to 255: the activations of each hidden layer.
function forward(network, pixels) {
  let a = Float32Array.from(pixels, (pixel) => pixel / 255);
  const hidden = [], last = network.layers.length - 1;
  network.layers.slice(0, last).forEach((layer) => {
    a = weightedInputs(layer, a).map((z) => network.activate(z));
    hidden.push(a);
  });
  const z = weightedInputs(network.layers[last], a);
  return { hidden, probabilities: probabilitiesOf(z, network.loss) };
}
