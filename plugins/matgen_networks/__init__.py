"""What the network plugins share: layers of the paper's tables, devices, checkpoints."""
