"""Training doctor: finds common failures in cheap statistics of pictures, losses and gradients."""
