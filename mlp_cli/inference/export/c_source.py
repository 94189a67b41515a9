"""`.c`: the network as C99 that needs the standard library alone, and allocates no memory.

Each number has as few digits as give the same float32 back. Whatever the locale is, its decimal
separator is a point.
"""

from __future__ import annotations

from string import Template

from mlp_cli.inference.export.plain import Floats, plain_network
from mlp_cli.inference.model import Model

NUMBERS_A_LINE = 6

# f(z) of a hidden neuron. SLOPE stands for the slope of leaky_relu.
FUNCTIONS = {
    "relu": "z > 0.0f ? z : 0.0f",
    "leaky_relu": "z > 0.0f ? z : SLOPE * z",
    "elu": "z > 0.0f ? z : expm1f(z)",
    "softplus": "fmaxf(z, 0.0f) + log1pf(expf(-fabsf(z)))",
    "silu": "z / (1.0f + expf(-z))",
    "gelu": "0.5f * z * erfcf(-0.70710678f * z)",
    "tanh": "tanhf(z)",
    "sigmoid": "0.5f + 0.5f * tanhf(0.5f * z)",
    "identity": "z",
}

# The softmax of these numbers is the probabilities. With mse, it is log σ(z).
SCORES = {"cross_entropy": "z", "mse": "fminf(z, 0.0f) - log1pf(expf(-fabsf(z)))"}

SOURCE = Template("""\
/* $about

   Use it in one of two ways: write #include with the name of this file in one file of a program.
   Or compile it on its own, and copy the two declarations below to where they are needed. Both
   need the mathematical library: link with -lm.

   It has $constants bytes of constants. A call needs about $stack bytes of stack, and no other
   memory that it writes to, so calls may run at the same time. */

#ifndef MLP_CLASSES

#include <math.h>
#include <stdint.h>

#define MLP_HEIGHT $height
#define MLP_WIDTH $width
#define MLP_CLASSES $classes

/* Return the class of an image, 0 to MLP_CLASSES - 1. pixels are the MLP_HEIGHT rows of the image,
   one after the other, of MLP_WIDTH pixels each, from 0 (paper) to 255 (ink). */
int mlp_predict(const uint8_t *pixels);

/* Write the probability of each class, MLP_CLASSES numbers. */
void mlp_probabilities(const uint8_t *pixels, float *probabilities);

$arrays
/* Compute the outputs of a layer, z = W a + b. */
static void mlp_layer(const float *weight, const float *bias, const float *a, uint32_t inputs,
                      float *z, uint32_t outputs)
{
    uint32_t i, j;
    for (j = 0; j < outputs; j++) {
        float sum = bias[j];
        for (i = 0; i < inputs; i++)
            sum += *weight++ * a[i];
        z[j] = sum;
    }
}
$activate
/* Compute z of the last layer. */
static void mlp_forward(const uint8_t *pixels, float *z)
{
$buffers
    uint32_t i;
    for (i = 0; i < $inputs; i++)
        x[i] = (float)pixels[i];
$layers
}

int mlp_predict(const uint8_t *pixels)
{
    float z[MLP_CLASSES];
    int i, best = 0;
    mlp_forward(pixels, z);
    for (i = 1; i < MLP_CLASSES; i++)
        if (z[i] > z[best])
            best = i;
    return best;
}

void mlp_probabilities(const uint8_t *pixels, float *probabilities)
{
    float largest, sum = 0.0f;
    int i;
    mlp_forward(pixels, probabilities);
    for (i = 0; i < MLP_CLASSES; i++) {
        float z = probabilities[i];
        probabilities[i] = $score;
    }
    largest = probabilities[0];
    for (i = 1; i < MLP_CLASSES; i++)
        largest = fmaxf(largest, probabilities[i]);
    for (i = 0; i < MLP_CLASSES; i++) {
        probabilities[i] = expf(probabilities[i] - largest);
        sum += probabilities[i];
    }
    for (i = 0; i < MLP_CLASSES; i++)
        probabilities[i] /= sum;
}

#endif
""")

ACTIVATE = Template("""
/* Replace z of hidden neurons by f(z). */
static void mlp_activate(float *a, uint32_t neurons)
{
    uint32_t i;
    for (i = 0; i < neurons; i++) {
        float z = a[i];
        a[i] = $function;
    }
}
""")


def c_bytes(model: Model) -> bytes:
    """Return a C file that defines `mlp_predict` and `mlp_probabilities`.

    Raises
    ------
    CheckpointError
        If the weights do not fit into float32.
    """
    network = plain_network(model)
    sizes, last = network.sizes, len(network.weights) - 1
    # The inputs of the layers lie in two buffers in turn, the images in the first.
    buffers = {"x": max(sizes[:-1:2]), "y": max(sizes[1:-1:2], default=0)}
    arrays, layers = [], []
    for layer, (W, b) in enumerate(zip(network.weights, network.biases, strict=True)):
        arrays += [_array(f"mlp_weight_{layer}", W), _array(f"mlp_bias_{layer}", b)]
        a, z = ("x", "y") if layer % 2 == 0 else ("y", "x")
        target = "z" if layer == last else z
        layers.append(
            f"    mlp_layer(mlp_weight_{layer}, mlp_bias_{layer}, {a}, {W.shape[1]}, {target}, "
            f"{len(W)});"
        )
        if layer < last:
            layers.append(f"    mlp_activate({z}, {len(W)});")
    function = FUNCTIONS[network.activation].replace("SLOPE", f"{network.negative_slope!r}f")
    height, width = network.image_shape
    (_, written_by), *about = network.about.items()
    source = SOURCE.substitute(
        about=comment(written_by) + "".join(f"\n   {k}: {comment(text)}" for k, text in about),
        constants=f"{sum(array.nbytes for array in network.weights + network.biases):,}",
        stack=f"{4 * (sum(buffers.values()) + sizes[-1]):,}",
        inputs=sizes[0],
        height=height,
        width=width,
        classes=sizes[-1],
        arrays="".join(arrays),
        activate=ACTIVATE.substitute(function=function) if last else "",
        buffers="\n".join(f"    float {name}[{size}];" for name, size in buffers.items() if size),
        layers="\n".join(layers),
        score=SCORES[network.loss],
    )
    return source.encode("ascii")


def comment(text: str) -> str:
    r"""Return a line of text that is safe in a comment of C.

    The end of a comment, a trigraph and a new line each need `*`, `?`, or a character that is not
    printable ASCII. These are escaped, as in `\x2a`.
    """
    return "".join(
        c if c.isascii() and c.isprintable() and c not in "*?" else f"\\x{ord(c):02x}" for c in text
    )


def _array(name: str, values: Floats) -> str:
    """Return the definition of an array, row by row."""
    numbers = [f"{number}f" for number in values.ravel().astype(str).tolist()]
    lines = [
        ", ".join(numbers[start : start + NUMBERS_A_LINE])
        for start in range(0, len(numbers), NUMBERS_A_LINE)
    ]
    body = ",\n    ".join(lines)
    return f"static const float {name}[{len(numbers)}] = {{\n    {body}\n}};\n\n"
