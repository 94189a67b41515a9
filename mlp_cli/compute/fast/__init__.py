"""The compiled kernels, the extra `fast`: a chunk of training steps in one call.

`recorder` and `image_recorder` take the calls that NumPy's operations would carry out, and write
each down as a line of a program, in the instruction set of `opcodes` and `image_opcodes`. `packing`
makes programs of them: `fuse_updates` makes a gradient and its update one line, `skip_zeros` leaves
out the zeros of the first layer, and `skip_hidden` those of ReLU (both by `panels`). Where threads
would wait in vain, `alone` has one of them run the lines of all. `interpreter` runs the lines, with
the loops of `activations` (for which `smooth` has the longer functions), `layers`, `images`,
`views` (and `edges`), `randomness` and `updates`, those without zeros of `first_layer` and
`hidden_layers`, and the products of `products` (in `tiles`), or of a BLAS (`gemm`). `tiling` says
how products are cut to the processor, and `vectors` what a register holds. `kernels` puts them
together. Numba compiles the interpreter (`compiling`), once on a machine; later processes load the
code that was kept (`cache`) by LLVM alone (`machine_code`).

What NumPy does in several passes over an array is one loop here: a bias with its activation, the
softmax with its error, the whole of Adam. Apart from rounding, nothing may depend on which of the
two runs a step. The loops may reorder sums and use reciprocals, but a value that is not finite
must stay so.

What was tried, as a ratio to the speed without it, on two cores with AVX-512. N is 784-30-10 at
batch 10 and S 784-128-10 at 64, both SGD; M is 784-512-512-10 and L 784-2500-2000-1500-1000-500-10,
both Adam at 128. The processor is AMD's in the first part, and Intel's in the second.

    products in tiles that stay in registers      S 1.22  M 1.14  L 1.15
    and no zeros in the first layer, either       N 1.17  S 2.59  M 1.58  L 1.24
    panels that begin at a line of memory         the first layer's products 1.1 to 1.4
    no zeros of ReLU in hidden layers             L 1.5   M 1.06 to 1.17  batch norm at 256 1.05
                                                  dropout of 0.5 in 784-3x1024-10 2.2
    ... and ΔW of 32 examples at a time, whose
      errors stay in the first cache              batch norm at 256 1.25 in place of 1.05
    chunks of up to 4,096 rows, not 1,024         L 1.1   M 1.2   batch norm at 256, distorted 1.1
    beside a busy process: chunks by one thread
      alone after the threads waited in vain      S 1.35  M 1.07  L 1.05
    code loaded by LLVM, without Numba            0.7 s less for a training of one epoch

    all of it, against NumPy's operations         N 3.2   S 2.5   M 2.1   L 1.6
    MKL for large products                        S 1.3   M 1.15  L 1.1
    ... and for small ones                        N 0.85
    SGD by the product itself                     N 1.17  S 1.05  784-100-10 at batch 1 2.0
    numbers below the normal range taken as 0     M 1.3, after five epochs
    the next images prefetched                    N 1.11  S 1.05
    ... between conversions, not before them      S 1.04
    losses counted here, not after each chunk     N 1.1   S 1.03
    a chunk's learning rates at once, not one
      by one in Python                            N 1.07

What did not help, and is not here:

    the update of some rows while their gradient
      is in cache, if a BLAS multiplies           L 0.97 to 1.05  M 0.87 to 1.0
    all errors first, then layer by layer the
      gradient and its update, one thread from
      the first layer and one from the last, so
      that one uses memory while one computes     L 1.02          M 1.0
    a minibatch's examples split among threads,
      not a layer's neurons                       the products 0.75 to 0.9
    images column-first as well, for a BLAS       a Wᵀ 1.2, δᵀ a 0.8
    OpenBLAS's kernels for other processors       the products 0.6 to 0.75
    a second thread on N                          0.75
    tiles for sums of 10 products                 δᵀ a on N 0.78
    factors of products rounded to bfloat16,
      where the processor multiplies them         the products 1.5 to 1.9, S 1.0, M 1.0, L 0.85 to
                                                  1.1, batch norm at 256 1.2 to 1.3
    1/x by an estimate in Adam, not by a division 1.0

On AMD's processor, tiles multiply at 95 to 115 of the 117 GFLOP/s that a core can do. The sums over
lit neurons do 40 to 85, of a fifth to a half of the products.
"""

from mlp_cli.compute.fast.settings import check_settings

check_settings()

# LLVM may end the process before that.
from mlp_cli.compute.fast.kernels import FastKernels  # noqa: E402

__all__ = ["FastKernels"]
