"""`gan-style studio`: a page on this machine, on which pictures are translated and runs looked at."""
