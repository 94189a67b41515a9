"""Read pictures of digits, and prepare them as the images of MNIST were made."""
