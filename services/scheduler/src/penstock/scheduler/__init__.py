"""Commands and reports in, decisions appended, work and timers out."""
