"""What single steps of a decision cost."""
