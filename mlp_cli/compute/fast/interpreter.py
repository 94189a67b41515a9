"""Runs a program: a table in which each line is one operation (`opcodes`).

Operands are given by their addresses in memory. `execute` holds no Python object and does not hold
the interpreter lock, so the workers run beside each other from the first line of a chunk to its
last.
"""

from __future__ import annotations

import numba
import numpy as np

from mlp_cli.compute.fast import (
    activations,
    decoder,
    first_layer,
    hidden_layers,
    images,
    layers,
    products,
    randomness,
    updates,
    views,
)
from mlp_cli.compute.fast.intrinsics import barrier, flush_to_zero, pointer
from mlp_cli.compute.fast.opcodes import OPERATIONS

# The code of each operation, and the columns of a program that hold its operands.
(
    PRODUCT, DESCEND, LEARN, ACTIVATE, DERIVATIVE, DELTA, COUNT, READ, LOOK_UP, BARRIER, SQUARES,
    CLIP, UPDATE, NORMALISE, BACKWARD, MASK, NOISE, MULTIPLY, ADD, LIMIT, FIELD, RESAMPLE,
    FIND_LIT, FIND_COLUMNS, FOLD, UNFOLD, FORWARD_LIT, GRADIENT_LIT, LEARN_LIT, TRANSPOSE, ADD_BIAS,
    DIFFERENCE, COMBINE, COMBINE_BACKWARD, MAKE_VIEW, ERRORS_LIT,
) = range(len(OPERATIONS))  # fmt: skip
(
    _product, _descend, _learn, _activate, _derivative, _delta, _count, _read, _look_up, _barrier,
    _squares, _clip, _update, _normalise, _backward, _mask, _noise, _multiply, _add, _limit, _field,
    _resample, _find_lit, _find_columns, _fold, _unfold, _forward_lit, _gradient_lit, _learn_lit,
    _transpose, _add_bias, _difference, _combine, _combine_backward, _make_view, _errors_lit,
) = (operation(*range(1, 1 + len(operation._fields))) for operation in OPERATIONS)  # fmt: skip


def _execute(program, constants, like):
    """Run the lines of a program (n, OPERANDS), each with its constants (n, CONSTANTS), in order.

    `like` is an array of the type of the parameters. Numbers below the normal range count as 0:
    late in a training many gradients are so small, and a processor takes a hundred times as long
    for them.
    """
    real = like.dtype
    control = flush_to_zero(np.uint32(0))
    for i in range(len(program)):
        line = program[i]
        code = line[0]
        if code in (PRODUCT, DESCEND):
            alpha, beta = 1.0, 0.0
            if code == DESCEND:
                rate = numba.carray(pointer(line[_descend.factors]), 1, np.float64)[0]
                alpha, beta = -rate, 1 - rate * constants[i, 0]
            products.product(  # the other operands of Descend are those of Product
                like, alpha, beta,
                line[_product.left_transposed], line[_product.right_transposed],
                line[_product.m], line[_product.n], line[_product.k],
                line[_product.left], line[_product.left_leading],
                line[_product.right], line[_product.right_leading],
                line[_product.out], line[_product.out_leading], line[_product.room],
            )  # fmt: skip
        elif code == LEARN:
            products.learn(
                like, line[_learn.left_transposed], line[_learn.right_transposed],
                line[_learn.m], line[_learn.n], line[_learn.k],
                line[_learn.left], line[_learn.left_leading],
                line[_learn.right], line[_learn.right_leading],
                line[_learn.out], line[_learn.room], line[_learn.rule], line[_learn.p],
                line[_learn.first_slot], line[_learn.second_slot], line[_learn.factors],
                constants[i],
            )  # fmt: skip
        elif code == ACTIVATE:
            K, m, stride = line[_activate.K], line[_activate.m], line[_activate.stride]
            z = numba.carray(pointer(line[_activate.z]), m * stride, real)
            b = numba.carray(pointer(line[_activate.b]), m, real)
            kept = numba.carray(pointer(line[_activate.kept]), m * stride, real)
            activations.activate(line[_activate.f], z, b, kept, K, stride, constants[i, 0])
        elif code == DERIVATIVE:
            size = line[_derivative.size]
            delta = numba.carray(pointer(line[_derivative.delta]), size, real)
            a = numba.carray(pointer(line[_derivative.a]), size, real)
            activations.multiply_by_derivative(line[_derivative.f], delta, a, constants[i, 0])
        elif code == DELTA:
            K, c, stride = line[_delta.K], line[_delta.c], line[_delta.stride]
            z = numba.carray(pointer(line[_delta.z]), c * stride, real)
            y = numba.carray(pointer(line[_delta.y]), K * c, real)
            delta = numba.carray(pointer(line[_delta.delta]), K * c, real)
            s = numba.carray(pointer(line[_delta.s]), 2 * K, real)
            layers.output_delta(line[_delta.loss], z, y, delta, s[:K], s[K:], c, stride)
        elif code == COUNT:
            n, c, stride = line[_count.n], line[_count.c], line[_count.stride]
            z = numba.carray(pointer(line[_count.z]), c * stride, real)
            y = numba.carray(pointer(line[_count.y]), n * c, real)
            labels = numba.carray(pointer(line[_count.labels]), n, np.uint8)
            losses = numba.carray(pointer(line[_count.losses]), n, real)
            right = numba.carray(pointer(line[_count.right]), n, np.bool_)
            most = numba.carray(pointer(line[_count.most]), n, real)
            layers.count_correct(line[_count.loss], z, y, labels, losses, right, most, c, stride)
        elif code == READ:
            count, inputs, total = line[_read.count], line[_read.inputs], line[_read.total]
            pixels = numba.carray(pointer(line[_read.images]), total * inputs, np.uint8)
            rows = numba.carray(pointer(line[_read.rows]), count, np.int64)
            prefetch_rows = numba.carray(
                pointer(line[_read.prefetch_rows]), line[_read.prefetch_count], np.int64
            )
            x = numba.carray(pointer(line[_read.x]), count * inputs, real)
            scale = numba.carray(pointer(line[_read.scale]), inputs, real)
            shift = numba.carray(pointer(line[_read.shift]), inputs, real)
            images.read_images(pixels, rows, prefetch_rows, x, scale, shift, inputs)
        elif code == LOOK_UP:
            count, c = line[_look_up.count], line[_look_up.c]
            labels = numba.carray(pointer(line[_look_up.labels]), line[_look_up.total], np.uint8)
            rows = numba.carray(pointer(line[_look_up.rows]), count, np.int64)
            found = numba.carray(pointer(line[_look_up.found]), count, np.uint8)
            one_hot = numba.carray(pointer(line[_look_up.one_hot]), c * c, real)
            y = numba.carray(pointer(line[_look_up.y]), count * c, real)
            images.look_up(labels, rows, found, one_hot, y, c)
        elif code == BARRIER:
            barrier(line[_barrier.counter], line[_barrier.workers])
        elif code == SQUARES:
            squares = numba.carray(pointer(line[_squares.total]), 1, np.float64)
            if line[_squares.is_first]:
                squares[0] = 0
            g = numba.carray(pointer(line[_squares.g]), line[_squares.size], real)
            squares[0] += updates.sum_squares(g)
        elif code == CLIP:
            squares = numba.carray(pointer(line[_clip.squares]), line[_clip.parts], np.float64)
            g = numba.carray(pointer(line[_clip.g]), line[_clip.size], real)
            updates.clip(g, constants[i, 0], squares)
        elif code == UPDATE:
            size = line[_update.size]
            p = numba.carray(pointer(line[_update.p]), size, real)
            g = numba.carray(pointer(line[_update.g]), size, real)
            slot = numba.carray(pointer(line[_update.first_slot]), size, real)
            second = numba.carray(pointer(line[_update.second_slot]), size, real)
            factors = numba.carray(pointer(line[_update.factors]), 3, np.float64)
            updates.update(line[_update.rule], p, g, slot, second, factors, constants[i])
        elif code == NORMALISE:
            K, m = line[_normalise.K], line[_normalise.m]
            z = numba.carray(pointer(line[_normalise.z]), K * m, real)
            gamma = numba.carray(pointer(line[_normalise.gamma]), m, real)
            mean = numba.carray(pointer(line[_normalise.running_mean]), m, real)
            variance = numba.carray(pointer(line[_normalise.running_variance]), m, real)
            hat = numba.carray(pointer(line[_normalise.hat]), K * m, real)
            inverse = numba.carray(pointer(line[_normalise.inverse]), m, real)
            layers.normalise(z, gamma, mean, variance, hat, inverse, K)
        elif code == BACKWARD:
            K, m = line[_backward.K], line[_backward.m]
            delta = numba.carray(pointer(line[_backward.delta]), K * m, real)
            gamma = numba.carray(pointer(line[_backward.gamma]), m, real)
            hat = numba.carray(pointer(line[_backward.hat]), K * m, real)
            inverse = numba.carray(pointer(line[_backward.inverse]), m, real)
            dgamma = numba.carray(pointer(line[_backward.dgamma]), m, real)
            dbeta = numba.carray(pointer(line[_backward.dbeta]), m, real)
            layers.normalise_backward(delta, gamma, hat, inverse, dgamma, dbeta, K)
        elif code == MASK:
            count, width = line[_mask.lines], line[_mask.width]
            fours = count * ((width + 3) // 4)
            bits = numba.carray(pointer(line[_mask.bits]), fours, np.uint64)
            drawn = numba.carray(pointer(line[_mask.bits]), 4 * fours, np.uint16)
            key = numba.carray(pointer(line[_mask.key]), 1, np.uint64)[0]
            key ^= np.uint64(line[_mask.stream])
            r = numba.carray(pointer(line[_mask.r]), count * width, real)
            first, threshold = line[_mask.first], line[_mask.threshold]
            randomness.dropout_mask(r, bits, drawn, key, first, width, threshold)
        elif code == NOISE:
            count, width = line[_noise.lines], line[_noise.width]
            fours = count * ((width + 3) // 4)
            bits = numba.carray(pointer(line[_noise.bits]), fours, np.uint64)
            drawn = numba.carray(pointer(line[_noise.bits]), 4 * fours, np.uint16)
            key = numba.carray(pointer(line[_noise.key]), 1, np.uint64)[0]
            key ^= np.uint64(line[_noise.stream])
            r = numba.carray(pointer(line[_noise.r]), count * width, real)
            randomness.draw_noise(r, bits, drawn, key, line[_noise.first], width, constants[i, 0])
        elif code == MULTIPLY:
            size = line[_multiply.size]
            a = numba.carray(pointer(line[_multiply.a]), size, real)
            r = numba.carray(pointer(line[_multiply.r]), size, real)
            randomness.multiply(a, r, numba.carray(pointer(line[_multiply.out]), size, real))
        elif code == ADD:
            size = line[_add.size]
            a = numba.carray(pointer(line[_add.a]), size, real)
            r = numba.carray(pointer(line[_add.r]), size, real)
            randomness.add(a, r, numba.carray(pointer(line[_add.out]), size, real))
        elif code == FIELD:
            height, two_k, width = line[_field.height], line[_field.two_k], line[_field.width]
            noise = numba.carray(pointer(line[_field.noise]), height * two_k * width, real)
            bits = numba.carray(pointer(line[_field.bits]), (width + 3) // 4, np.uint64)
            drawn = numba.carray(pointer(line[_field.bits]), 4 * len(bits), np.uint16)
            key = numba.carray(pointer(line[_field.key]), 1, np.uint64)[0]
            first = numba.carray(pointer(line[_field.origin]), 1, np.int64)[0] + line[_field.first]
            randomness.draw_field(noise, bits, drawn, key, first, height, two_k, width)
        elif code == RESAMPLE:
            count, height, width = (
                line[_resample.count],
                line[_resample.height],
                line[_resample.width],
            )
            inputs = height * width
            pixels = numba.carray(
                pointer(line[_resample.images]), line[_resample.total] * inputs, np.uint8
            )
            rows = numba.carray(pointer(line[_resample.rows]), count, np.int64)
            maps = numba.carray(pointer(line[_resample.maps]), count * 8, real)
            field = numba.carray(pointer(line[_resample.field]), 2 * count * inputs, real)
            x = numba.carray(pointer(line[_resample.x]), count * inputs, real)
            scale = numba.carray(pointer(line[_resample.scale]), inputs, real)
            shift = numba.carray(pointer(line[_resample.shift]), inputs, real)
            padded = numba.carray(pointer(line[_resample.padded]), (height + 3) * (width + 3), real)
            images.warp(pixels, rows, maps, field, x, scale, shift, padded, height, width)
        elif code == LIMIT:
            m = line[_limit.m]
            W = numba.carray(pointer(line[_limit.W]), m * line[_limit.n], real)
            updates.limit_norms(W, m, constants[i, 0])
        elif code == FIND_LIT:
            K, n = line[_find_lit.K], line[_find_lit.n]
            x = numba.carray(pointer(line[_find_lit.x]), K * n, np.float32)
            background = numba.carray(pointer(line[_find_lit.background]), n, np.float32)
            lit = numba.carray(pointer(line[_find_lit.lit]), K * n, np.float32)
            first_layer.find_lit(x, background, lit, line[_find_lit.masks], K, n)
        elif code == FIND_COLUMNS:
            K, n = line[_find_columns.K], line[_find_columns.n]
            lit = numba.carray(pointer(line[_find_columns.lit]), K * n, np.float32)
            start, stop = line[_find_columns.start], line[_find_columns.stop]
            first_layer.find_columns(lit, line[_find_columns.columns], K, n, start, stop)
        elif code == FOLD:
            first_layer.fold(
                line[_fold.W], line[_fold.n], line[_fold.m], line[_fold.width], line[_fold.panel]
            )
        elif code == UNFOLD:
            first_layer.unfold(
                line[_unfold.panel], line[_unfold.n], line[_unfold.m], line[_unfold.width],
                line[_unfold.W],
            )  # fmt: skip
        elif code == FORWARD_LIT:
            first_layer.forward(
                line[_forward_lit.lit], line[_forward_lit.masks], line[_forward_lit.background],
                line[_forward_lit.K], line[_forward_lit.n], line[_forward_lit.panel],
                line[_forward_lit.m], line[_forward_lit.width], line[_forward_lit.z],
                line[_forward_lit.stride], line[_forward_lit.room],
            )  # fmt: skip
        elif code == GRADIENT_LIT:
            first_layer.gradient(
                line[_gradient_lit.lit], line[_gradient_lit.columns],
                line[_gradient_lit.background], line[_gradient_lit.K], line[_gradient_lit.n],
                line[_gradient_lit.delta], line[_gradient_lit.m], line[_gradient_lit.width],
                line[_gradient_lit.out], line[_gradient_lit.room],
            )  # fmt: skip
        elif code == LEARN_LIT:
            factors = numba.carray(pointer(line[_learn_lit.factors]), 3, np.float64)
            first_layer.learn(
                line[_learn_lit.lit], line[_learn_lit.columns], line[_learn_lit.background],
                line[_learn_lit.K], line[_learn_lit.n], line[_learn_lit.delta],
                line[_learn_lit.m], line[_learn_lit.width], line[_learn_lit.rule],
                line[_learn_lit.panel], line[_learn_lit.first_slot], line[_learn_lit.second_slot],
                factors, constants[i], line[_learn_lit.room],
            )  # fmt: skip
        elif code == TRANSPOSE:
            decoder.transpose(
                like, line[_transpose.x], line[_transpose.x_leading], line[_transpose.out],
                line[_transpose.out_leading], line[_transpose.K], line[_transpose.n],
            )  # fmt: skip
        elif code == ADD_BIAS:
            K, n = line[_add_bias.K], line[_add_bias.n]
            z = numba.carray(pointer(line[_add_bias.z]), K * n, real)
            b = numba.carray(pointer(line[_add_bias.b]), n, real)
            decoder.add_bias(z, b, numba.carray(pointer(line[_add_bias.out]), K * n, real), K)
        elif code == DIFFERENCE:
            size = line[_difference.size]
            q = numba.carray(pointer(line[_difference.q]), size, real)
            x = numba.carray(pointer(line[_difference.x]), size, real)
            out = numba.carray(pointer(line[_difference.out]), size, real)
            decoder.difference(q, x, out, constants[i, 0])
        elif code == COMBINE:
            decoder.combine(
                like, line[_combine.A], line[_combine.t], line[_combine.u], line[_combine.q],
                line[_combine.K], line[_combine.n],
            )  # fmt: skip
        elif code == COMBINE_BACKWARD:
            decoder.combine_backward(
                like, line[_combine_backward.A], line[_combine_backward.t],
                line[_combine_backward.u], line[_combine_backward.delta],
                line[_combine_backward.delta_u], line[_combine_backward.dA],
                line[_combine_backward.s], line[_combine_backward.K], line[_combine_backward.n],
            )  # fmt: skip
        elif code == MAKE_VIEW:
            views.make_view(like, line, _make_view, constants[i])
        elif code == ERRORS_LIT:
            hidden_layers.errors(line, _errors_lit)
    flush_to_zero(control)


# Part of `compiling.run`: as a function of its own it would be compiled twice.
execute = numba.njit(nogil=True, error_model="numpy", inline="always")(_execute)
