"""Networks: tensors in, tensors out; no loss, no optimiser, no device."""
