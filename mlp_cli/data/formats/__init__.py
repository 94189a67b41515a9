"""What people bring as data, each format in a module of its own.

collection     what a source holds: its sets of images, its classes; what the user says about it
recognise      which format a source has, by its content
class_folders  pictures, in a folder for each class
table          CSV, with an image in each line
csv_numbers    the numbers of a CSV file, piece by piece
arrays         NumPy's .npz and .npy files
npy_files      a single array of such a file
idx_files      IDX files of other names and types than MNIST's
orientation    images that lie on their side, as EMNIST's do
parts          puts the sets of a source together
values         numbers as grey values from 0 to 255
labels         whole numbers or one-hot rows as classes 0, 1, … with names
questions      asks for what a source leaves open, and names the option that answers it
importing      writes a source as a folder for `data.path`
import_record  what an import is of, and how far it is; keeps decoded pictures
set_aside      sets a share of the images aside as a test set
"""
