"""What was tried at the door, and what came of it."""
