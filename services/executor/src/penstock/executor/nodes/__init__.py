"""One module per node type: a function from inputs to output."""
