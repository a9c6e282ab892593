"""A whole Penstock on one machine: embedded servers, the stack of processes, the demo."""
