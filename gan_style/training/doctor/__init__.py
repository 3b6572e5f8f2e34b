"""What goes wrong in training, seen in cheap numbers: pictures and numbers in, findings out."""
