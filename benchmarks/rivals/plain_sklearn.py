"""A script that trains the network as a user of scikit-learn would.

    PYTHONPATH=benchmarks python -m rivals.plain_sklearn --data data/mnist --out model.pickle

Prints the accuracy on the test images as one JSON object. `--threads` has no effect here:
environment variables set the threads of BLAS.
"""

import json
import pickle
import warnings
from pathlib import Path

import numpy as np
from rivals.mnist import read_mnist
from rivals.plain import arguments
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier


def main() -> None:
    """Train, save, score."""
    options = arguments()
    data = read_mnist(options.data)
    classifier = MLPClassifier(
        (options.hidden,),
        solver="sgd",
        alpha=0.0,
        batch_size=options.batch,
        learning_rate_init=options.learning_rate,
        momentum=0.0,
        nesterovs_momentum=False,
        max_iter=options.epochs,
        random_state=0,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # expected after so few epochs
        classifier.fit(data.train.pixels.astype(np.float32) / np.float32(255), data.train.labels)
    Path(options.out).write_bytes(pickle.dumps(classifier))
    x = data.test.pixels.astype(np.float32) / np.float32(255)
    print(json.dumps({"test_accuracy": classifier.score(x, data.test.labels)}))


if __name__ == "__main__":
    main()
