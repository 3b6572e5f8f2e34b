"""The verbs of the command line, one file each; no other package imports them."""
