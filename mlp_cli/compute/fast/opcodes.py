"""The numbers that stand for operations and functions in a program."""

# The operations: the first number of a line.
PRODUCT, DESCEND, ACTIVATE, DERIVE, ERROR, COUNT, READ, LOOK_UP, MEET, SUM_SQUARES = range(10)
CLIP, UPDATE, NORMALISE, UNNORMALISE, DRAW, DEVIATE, MULTIPLY, ADD, LIMIT = range(10, 19)
NOISE, WARP = range(19, 21)
# The functions and rules.
RELU, LEAKY_RELU, ELU, TANH, SCALED_TANH, SIGMOID, IDENTITY = range(7)
CROSS_ENTROPY, MSE = range(2)
SGD, MOMENTUM, NESTEROV, RMSPROP, ADAM, ADAMW = range(6)

OPERANDS = 13  # whole numbers in a line: the code, addresses, sizes
CONSTANTS = 4  # fractions that belong to it
